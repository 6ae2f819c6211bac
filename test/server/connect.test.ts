import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchBrowser } from './browser.ts';
import { connectThrough, cookieName, makeConnectBench } from './connect-bench.ts';

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
}, 120_000);

afterAll(() => browser?.close());

it('a person connects through a browser, and the application confirms who came back', async () => {
  await using bench = await makeConnectBench();
  const app = await bench.putApp('zoho-eu', 'zoho_crm', { dc: 'eu' });
  expect(app.redirect_uri).toMatch(new RegExp(`^${bench.server.url}/oauth/callback/[\\w-]{22}$`));
  const session = await bench.session({
    tenant: 'acme',
    provider: 'zoho_crm',
    return_to: bench.application.returnTo,
    user: 'alice@acme.example',
  });
  await using context = await browser.newContext();
  const page = await connectThrough(context, session.url);
  await page.waitForURL(/\/connected/);
  expect(await page.getByRole('heading').textContent()).toBe('Welcome back');
  const came = bench.application.last;
  expect([came.get('session'), came.get('shop')]).toEqual([session.id, '1']);
  const [cookie] = (await context.cookies()).filter(({ name }) => name === cookieName);
  expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax', path: '/', domain: '127.0.0.1' });

  const before = await bench.server.call('GET', '/v1/tenants/acme/grants/zoho_crm');
  expect(before.status).toBe(404);
  const completed = await bench.complete(session.id, { completion_code: came.get('code'), user: 'alice@acme.example' });
  expect([completed.status, completed.body.state]).toEqual([200, 'active']);
  const token = await bench.server.call('GET', '/v1/tenants/acme/grants/zoho_crm/token');
  expect(token.status).toBe(200);
});
