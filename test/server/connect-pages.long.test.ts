/** Every page that a person may see: can be read by everybody, in light and dark, on the narrowest phone, without a script. */
import { createServer, type Server } from 'node:http';
import axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GrantryError } from '../../src/base/errors.ts';
import { type Page, pageHeaders, renderPage } from '../../src/server/connect/page.ts';
import {
  endedPage,
  refusalPage,
  sessionPage,
  stalePage,
  startPage,
  troublePage,
} from '../../src/server/connect/pages.ts';
import { launchBrowser } from '../support/browser.ts';

const session = {
  id: '0a0b0c0d-0000-4000-8000-000000000000',
  tenant: 'smart-tax-nation',
  provider: 'zoho_crm',
  account: 'second.account@example',
  app: 'zoho-eu',
  scopes: ['ZohoCRM.modules.ALL', `ZohoCRM.${'x'.repeat(200)}.READ`],
  addScopes: null,
  returnTo: 'https://app.example/connected',
  user: 'alice',
  environment: null,
  expectOrganization: null,
  state: 'open' as const,
  error: null,
  detail: null,
  grantedScopes: null,
  narrower: null,
  wider: null,
  createdAt: new Date(0),
  expiresAt: new Date(0),
  completedAt: null,
};
const offer = { kind: 'offer' as const, session, providerName: 'Zoho CRM' };
const granted = { grantedScopes: [], narrower: ['ZohoCRM.org.READ'], wider: [] };
const long = { ...offer, session: { ...session, tenant: 'a'.repeat(128) }, providerName: 'W'.repeat(60) };

const pages: Record<string, Page> = {
  start: startPage(offer, 'proof'),
  'start with long names': startPage(long, 'proof'),
  connected: sessionPage({ ...offer, session: { ...session, state: 'completed', ...granted } }).page,
  'almost connected': sessionPage({ ...offer, session: { ...session, state: 'pending' } }).page,
  'an old form': stalePage('/connect/link').page,
  declined: endedPage('access_denied', 'The user declined the consent.', 'Zoho CRM').page,
  'a refused code': endedPage('authorization_failed', 'zoho_crm refused the code (invalid_target, status 400).', 'Zoho')
    .page,
  'another browser': refusalPage('state_of_another_browser').page,
  trouble: troublePage(new GrantryError('storage_unavailable', 'Away.'), 503, { cameBack: true }).page,
};

let browser: Browser;
let server: Server;
let origin = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    const page = pages[decodeURIComponent((request.url ?? '/').slice(1))];
    response.writeHead(page === undefined ? 404 : 200, pageHeaders('http://127.0.0.1'));
    response.end(page === undefined ? '' : renderPage(page));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the listener has no port');
  origin = `http://127.0.0.1:${address.port}`;
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
});

it.each(['light', 'dark'] as const)(
  'pages are accessible and fit, in %s',
  async (colorScheme) => {
    await using context = await browser.newContext({ colorScheme, viewport: { width: 320, height: 640 } });
    const tab = await context.newPage();
    const said: string[] = [];
    tab.on('console', (message) => said.push(message.text()));
    for (const name of Object.keys(pages)) {
      await tab.goto(`${origin}/${encodeURIComponent(name)}`);
      await tab.evaluate(axe.source);
      const { violations }: axe.AxeResults = await tab.evaluate('axe.run()');
      expect([name, violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])]).toEqual([name, []]);
      for (const width of [320, 1_280]) {
        await tab.setViewportSize({ width, height: 640 });
        const wide: number = await tab.evaluate('document.documentElement.scrollWidth');
        expect([name, wide]).toEqual([name, width]);
      }
      // The style is there: without it, the policy would have refused it.
      expect(await tab.evaluate('getComputedStyle(document.querySelector("main")).maxWidth')).toMatch(/px$/);
    }
    expect(said).toEqual([]);
  },
  120_000,
);

it('the page works by keyboard, and without scripts', async () => {
  await using context = await browser.newContext({ javaScriptEnabled: false });
  const tab = await context.newPage();
  await tab.goto(`${origin}/start`);
  await tab.keyboard.press('Tab');
  await tab.keyboard.press('Enter');
  expect(await tab.getByText('ZohoCRM.modules.ALL').isVisible()).toBe(true);
  await tab.keyboard.press('Tab');
  expect(await tab.locator('button:focus').textContent()).toBe('Continue to Zoho CRM');
});
