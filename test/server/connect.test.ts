/** The connect flow as a person has it: a real browser, a provider with a consent page, an application to come back to. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { type ConnectBench, connectThrough, cookieName, makeConnectBench } from '../support/connect-bench.ts';

let browser: Browser;
let bench: ConnectBench;
let tenants = 0;
let tenant = '';

beforeAll(async () => {
  [browser, bench] = await Promise.all([launchBrowser(), makeConnectBench()]);
  await bench.putApp('zoho', 'zoho_crm', { dc: 'us' });
  await bench.putApp('plain', 'strict');
});

beforeEach(() => {
  tenants += 1;
  tenant = `tenant-${tenants}`;
});

afterAll(async () => {
  await browser?.close();
  await bench?.[Symbol.asyncDispose]();
});

const returnTo = (): string => bench.application.returnTo;
const grantAt = (provider: string) => bench.server.call('GET', `/v1/tenants/${tenant}/grants/${provider}`);
const look = async (id: string) => (await bench.server.call('GET', `/v1/connect-sessions/${id}`)).body;
const heading = (page: Page): Promise<string | null> => page.getByRole('heading', { level: 1 }).textContent();

/** Every address that the tab's history holds. */
async function historyOf(context: BrowserContext, page: Page): Promise<string[]> {
  const session = await context.newCDPSession(page);
  const { entries } = await session.send('Page.getNavigationHistory');
  return entries.map(({ url }) => url);
}

describe('a person connects', () => {
  it('through the provider’s consent page to the application, whose backend says who came back', async () => {
    const user = 'alice@acme.example';
    const session = await bench.session({ tenant, provider: 'zoho_crm', return_to: returnTo(), user });
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(session.url);
    expect(await heading(page)).toBe('Connect to Zoho CRM');
    expect(await page.locator('dd').allTextContents()).toEqual([tenant, 'Zoho CRM']);
    expect((await look(session.id)).state).toBe('open');
    await page.getByRole('button', { name: 'Continue to Zoho CRM' }).click();
    // The account lives in another data centre than the app: the provider sends its browser there.
    await page.getByLabel('You are').selectOption('user@eu.example');
    await page.getByRole('button', { name: 'Accept' }).click();
    const europe = bench.server.bench.simulator.origins()['zoho/eu'];
    await page.waitForURL((url) => url.origin === europe);
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.waitForURL(/\/connected/);
    const came = bench.application.last;
    expect([came.get('session'), came.get('shop'), came.has('error')]).toEqual([session.id, '1', false]);
    const code = came.get('code') ?? '';

    expect([(await look(session.id)).state, (await grantAt('zoho_crm')).status]).toEqual(['pending', 404]);
    const completed = await bench.complete(session.id, { completion_code: code, user });
    expect(completed.body).toMatchObject({ tenant, provider: 'zoho_crm', state: 'active', dc: 'eu' });
    expect((await bench.server.call('GET', `/v1/tenants/${tenant}/grants/zoho_crm/token`)).status).toBe(200);
    expect(await look(session.id)).toMatchObject({ state: 'completed', narrower: [], wider: [] });
  });

  it('without an application: the grant is stored when the browser comes back, and its address holds no code', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const page = await connectThrough(context, session.url);
    await page.waitForURL(/\/connect\/sessions\//);
    expect([await heading(page), (await grantAt('strict')).body.state]).toEqual(['Connected', 'active']);
    expect(page.url()).toBe(`${bench.server.url}/connect/sessions/${session.id}`);
    const addresses = await historyOf(context, page);
    expect(
      addresses.filter((address) => /[?&](code|state)=/.test(address) && address.startsWith(bench.server.url)),
    ).toEqual([]);
    const [cookie] = (await context.cookies()).filter(({ name }) => name === cookieName);
    expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax', path: '/', domain: '127.0.0.1' });
    expect(await page.evaluate('localStorage.length + sessionStorage.length')).toBe(0);
    expect(await page.evaluate('document.cookie')).toBe('');
    await page.reload();
    expect(await heading(page)).toBe('Connected');
    await page.goto(session.url);
    expect(await heading(page)).toBe('Already connected');
  });

  it('a user who declines connects later with the same link', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const page = await connectThrough(context, session.url, 'Decline');
    await page.waitForURL(/\/oauth\/callback\//);
    expect(await heading(page)).toBe('Not connected');
    expect(await page.locator('main').textContent()).toContain('You declined at');
    expect(await look(session.id)).toMatchObject({ state: 'started', error: 'access_denied' });
    const second = await connectThrough(context, session.url);
    await second.waitForURL(/\/connect\/sessions\//);
    expect(await heading(second)).toBe('Connected');
  });

  it('an application gets the reason after its user declines', async () => {
    const session = await bench.session({ tenant, provider: 'zoho_crm', return_to: returnTo() });
    await using context = await browser.newContext();
    const page = await connectThrough(context, session.url, 'Decline');
    await page.waitForURL(/\/connected/);
    const came = bench.application.last;
    expect([came.get('session'), came.get('error'), came.has('code')]).toEqual([session.id, 'access_denied', false]);
  });
});

describe('links and browsers', () => {
  it('an expired link, a cut one and a used one say what to do', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const page = await connectThrough(context, session.url);
    await page.waitForURL(/\/connect\/sessions\//);
    await using other = await browser.newContext();
    const visitor = await other.newPage();
    expect((await visitor.goto(session.url))?.status()).toBe(410);
    expect(await heading(visitor)).toBe('This link was already used');
    expect((await visitor.goto(session.url.slice(0, -3)))?.status()).toBe(404);
    expect(await heading(visitor)).toBe('This link is not valid');
    const late = await bench.session({ tenant, provider: 'strict' });
    await visitor.goto(late.url);
    await bench.server.bench.jump(1_800_001);
    await visitor.getByRole('button').click();
    expect(await heading(visitor)).toBe('This link has expired');
    expect((await look(late.id)).state).toBe('expired');
  });

  it('a link belongs to the browser that pressed its button, and only that one may come back', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(session.url);
    await page.getByRole('button', { name: /^Continue/ }).click();
    await page.getByRole('button', { name: 'Accept' }).waitFor();
    await using other = await browser.newContext();
    const visitor = await other.newPage();
    expect((await visitor.goto(session.url))?.status()).toBe(403);
    expect(await heading(visitor)).toBe('This link was opened in another browser');
    // The consent page itself is carried to the other browser, which completes it there.
    await visitor.goto(page.url());
    await visitor.getByRole('button', { name: 'Accept' }).click();
    await visitor.waitForURL(/\/oauth\/callback\//);
    expect(await heading(visitor)).toBe('This is another browser');
    expect((await grantAt('strict')).status).toBe(404);
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.waitForURL(/\/connect\/sessions\//);
    expect((await grantAt('strict')).status).toBe(200);
  });

  it('a button pressed twice, and two tabs at once, connect once', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const tabs = [await context.newPage(), await context.newPage()] as const;
    for (const tab of tabs) await tab.goto(session.url);
    await tabs[0].getByRole('button', { name: /^Continue/ }).dblclick();
    await tabs[1].getByRole('button', { name: /^Continue/ }).click();
    for (const tab of tabs) await tab.getByRole('button', { name: 'Accept' }).waitFor();
    await Promise.all(tabs.map((tab) => tab.getByRole('button', { name: 'Accept' }).click()));
    await Promise.all(tabs.map((tab) => tab.waitForURL((url) => url.origin === bench.server.url)));
    const headings = await Promise.all(tabs.map(heading));
    expect(new Set(headings)).toEqual(new Set(['Connected', 'This was finished in another tab']));
    expect((await grantAt('strict')).body.generation).toBe(1);
  });

  it('going back and forward uses nothing twice', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const page = await connectThrough(context, session.url);
    await page.waitForURL(/\/connect\/sessions\//);
    await page.goBack();
    await page.goBack();
    expect(await heading(page)).toBe('Already connected');
    await page.goForward();
    const { body } = await grantAt('strict');
    expect([body.state, body.generation]).toEqual(['active', 1]);
  });

  it('a page on another site cannot press the button, though the browser has the cookie', async () => {
    const session = await bench.session({ tenant, provider: 'strict' });
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(session.url);
    const proof = await page.locator('input[name=proof]').inputValue();
    // Another port is the same site and sends the cookie, so that the proof and the browser's own word are what counts.
    await page.goto(returnTo());
    await page.setContent(
      `<form method="post" action="${session.url}"><input name="proof" value="${proof}"><button>Go</button></form>`,
    );
    await page.getByRole('button').click();
    expect(await heading(page)).toBe('Please try again');
    expect((await look(session.id)).state).toBe('open');
  });

  it('values from browsers and providers are stored as hashes or sealed', async () => {
    const session = await bench.session({ tenant, provider: 'strict', return_to: returnTo() });
    await using context = await browser.newContext();
    const page = await context.newPage();
    const addresses: string[] = [];
    page.on('request', (request) => addresses.push(request.url()));
    await page.goto(session.url);
    await page.getByRole('button', { name: /^Continue/ }).click();
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.waitForURL(/\/connected/);
    const parameters = addresses.flatMap((address) => [...new URL(address).searchParams]);
    const secrets = new Set(parameters.filter(([name]) => ['code', 'state'].includes(name)).map(([, value]) => value));
    secrets.add(session.url.split('/').at(-1) ?? '');
    for (const { name, value } of await context.cookies()) if (name === cookieName) secrets.add(value);
    expect(secrets.size).toBe(5);
    const { database } = bench.server.bench;
    const file = database.slice('sqlite:'.length);
    const stored = readdirSync(path.dirname(file))
      .filter((name) => name.startsWith(path.basename(file)))
      .map((name) => readFileSync(path.join(path.dirname(file), name), 'latin1'))
      .join('');
    expect(stored).toContain(session.id);
    expect([...secrets].filter((secret) => stored.includes(secret))).toEqual([]);
  });
});
