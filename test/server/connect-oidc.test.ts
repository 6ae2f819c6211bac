import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { OidcServer } from '../e2e/oidc-server.ts';
import { RedTeam } from '../redteam/bench.ts';
import { launchBrowser } from '../support/browser.ts';

let browser: Browser;

beforeAll(async () => {
  // It says at every start that its sign-in pages are for development.
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  vi.spyOn(console, 'info').mockImplementation(() => {});
  browser = await launchBrowser();
});

afterAll(() => browser?.close());

it('a certified server, with sign-in and consent pages of its own, is connected in a browser', async () => {
  await using team = await RedTeam.start();
  await team.provider('somewhere');
  const { redirect_uri } = await team.app('ours', 'somewhere');
  await using certified = await OidcServer.start([redirect_uri]);
  const { clientId: client_id, secret: client_secret } = certified.client('client_secret_basic');
  await team.vault.providers.put({
    id: 'certified',
    issuer: certified.issuer,
    clientAuthentication: 'client_secret_basic',
    authorizationParameters: { prompt: 'consent' },
    refreshToken: { rotation: 'strict', reuse: 'revokes_family' },
    api: { hosts: [certified.issuer] },
  });
  // The app's own address stays when it moves to another provider.
  const scopes = ['openid', 'offline_access'];
  expect((await team.app('ours', 'certified', { client_id, client_secret, scopes })).redirect_uri).toBe(redirect_uri);
  const session = await team.session({ provider: 'certified' });
  await using context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(session.url);
  await page.getByRole('button', { name: /^Continue/ }).click();
  await page.locator('input[name=login]').fill('alice');
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(/\/connect\/sessions\//);
  expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Connected');
  expect(await team.look(session.id)).toMatchObject({ state: 'completed', narrower: [], wider: [] });
  const token = await team.vault.getAccessToken({ tenant: 'acme', provider: 'certified' });
  expect(await certified.isActive(token.accessToken)).toBe(true);
});
