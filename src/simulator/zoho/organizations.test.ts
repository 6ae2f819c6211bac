import { expect, it } from 'vitest';
import { createSimulator, demoClient, type Simulator, startSimulator } from '../index.ts';

const organizations = [
  { id: '71', name: 'Acme' },
  { id: '72', name: 'Acme Trading' },
  { id: '79', name: 'Acme test', environment: 'sandbox' as const },
];
const user = { id: 'eva@example.test', dc: 'eu', zuid: '5007', organizations };
const scopes = ['ZohoCRM.org.READ', 'ZohoBooks.settings.READ', 'ZohoBooks.contacts.READ', 'AaaServer.profile.READ'];

async function call(simulator: Simulator, url: string, token: string, init: RequestInit = {}) {
  const headers = { authorization: `Zoho-oauthtoken ${token}` };
  const response = await simulator.fetch(new Request(url, { headers, ...init }));
  const body: unknown = await response.json();
  return { status: response.status, body };
}

const tokenIn = (simulator: Simulator, organization?: string, of = scopes) =>
  simulator.mintTokens({ clientId: demoClient.clientId, user: user.id, scopes: of, organization });

it('lists every organisation of a user where calls name one, and knows the picked one elsewhere', async () => {
  const simulator = createSimulator({ users: [user] });
  const { accessToken } = tokenIn(simulator, '72');
  const org = await call(simulator, 'https://www.zohoapis.eu/crm/v8/org', accessToken);
  expect(org.body).toMatchObject({ org: [{ id: '72', company_name: 'Acme Trading' }] });
  const books = 'https://www.zohoapis.eu/books/v3';
  const listed = await call(simulator, `${books}/organizations`, accessToken);
  expect(listed.body).toMatchObject({ organizations: [{ organization_id: '71' }, { organization_id: '72' }, {}] });
  expect((await call(simulator, `${books}/contacts?organization_id=71`, accessToken)).status).toBe(200);
  expect((await call(simulator, `${books}/contacts?organization_id=1`, accessToken)).status).toBe(400);
  const told = await call(simulator, 'https://accounts.zoho.eu/oauth/user/info', accessToken);
  expect(told.body).toMatchObject({ ZUID: '5007', Email: user.id });
  expect(() => tokenIn(simulator, 'nothing')).toThrow(RangeError);
});

it('answers a token only at the host of its organisation’s environment', async () => {
  const simulator = createSimulator({ users: [user] });
  const sandbox = tokenIn(simulator, '79').accessToken;
  const production = tokenIn(simulator).accessToken;
  const at = async (host: string, token: string) =>
    (await call(simulator, `https://${host}.zohoapis.eu/crm/v8/org`, token)).status;
  expect([await at('sandbox', sandbox), await at('www', sandbox), await at('developer', sandbox)]).toEqual([
    200, 401, 401,
  ]);
  expect([await at('sandbox', production), await at('www', production)]).toEqual([401, 200]);
});

it('names the host of a sandbox in its token answer, or the usual one', async () => {
  const simulator = createSimulator({ users: [user] });
  const domain = async () => {
    const { refreshToken } = tokenIn(simulator, '79');
    const { clientId, secret = '' } = demoClient;
    const form = {
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      client_id: clientId,
      client_secret: secret,
    };
    const answer = await simulator.fetch(
      new Request('https://accounts.zoho.eu/oauth/v2/token', { method: 'POST', body: new URLSearchParams(form) }),
    );
    const told: unknown = await answer.json();
    return typeof told === 'object' && told !== null && 'api_domain' in told ? told.api_domain : null;
  };
  expect(await domain()).toBe('https://sandbox.zohoapis.eu');
  simulator.zoho.change({ environmentDomain: 'production' });
  expect(await domain()).toBe('https://www.zohoapis.eu');
});

it('lets the person pick an organisation at the consent', async () => {
  const simulator = createSimulator({ users: [user, { id: 'us@example.test', dc: 'us' }] });
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: demoClient.clientId,
    redirect_uri: 'https://app.example/cb',
    scope: 'ZohoCRM.org.READ',
    access_type: 'offline',
  });
  const page = await simulator.fetch(new Request(`https://accounts.zoho.eu/oauth/v2/auth?${query.toString()}`));
  const html = await page.text();
  expect(html).toContain('<optgroup label="eva@example.test">');
  expect(html).toContain('Acme test (sandbox)');
  const accept = async (organization: string) => {
    const body = new URLSearchParams({ decision: 'accept', login_hint: user.id, organization });
    const url = `https://accounts.zoho.eu/oauth/v2/auth/consent?${query.toString()}`;
    return simulator.fetch(new Request(url, { method: 'POST', body, redirect: 'manual' }));
  };
  // The organisation of another user is none of this one's: the page comes again.
  expect((await accept('1')).status).toBe(200);
  const back = await accept('79');
  const code = new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? '';
  const { clientId, secret = '' } = demoClient;
  const form = { grant_type: 'authorization_code', code, client_id: clientId, client_secret: secret };
  const body = new URLSearchParams({ ...form, redirect_uri: 'https://app.example/cb' });
  await simulator.fetch(new Request('https://accounts.zoho.eu/oauth/v2/token', { method: 'POST', body }));
  expect(simulator.families().at(-1)).toMatchObject({ organization: '79', user: user.id });
});

it('gives sandboxes ports of their own, and moves definitions there', async () => {
  await using simulator = await startSimulator({ users: [user], dataCenters: ['eu'], environments: ['sandbox'] });
  const { 'zoho/eu': production = '', 'zoho/eu/sandbox': sandbox = '' } = simulator.origins();
  expect(simulator.definition('zoho_crm').api.hosts).toContain(sandbox);
  const { accessToken } = tokenIn(simulator, '79');
  const headers = { authorization: `Zoho-oauthtoken ${accessToken}` };
  expect((await fetch(`${sandbox}/crm/v8/org`, { headers })).status).toBe(200);
  expect((await fetch(`${production}/crm/v8/org`, { headers })).status).toBe(401);
});

it('keeps the events of a calendar, so that a booking can be tried to its end', async () => {
  const simulator = createSimulator({ users: [user] });
  const { accessToken } = tokenIn(simulator, '71', ['ZohoCalendar.calendar.READ', 'ZohoCalendar.event.ALL']);
  const at = 'https://calendar.zoho.eu/api/v1/calendars';
  const { body } = await call(simulator, at, accessToken);
  expect(body).toMatchObject({ calendars: [{ uid: '71', isdefault: true }] });
  const eventdata = JSON.stringify({
    title: 'Call',
    dateandtime: { timezone: 'UTC', start: '20261201T100000Z', end: '20261201T103000Z' },
  });
  const events = `${at}/71/events`;
  const made = await call(simulator, `${events}?eventdata=${encodeURIComponent(eventdata)}`, accessToken, {
    method: 'POST',
  });
  expect(made).toMatchObject({ status: 200, body: { events: [{ title: 'Call', uid: expect.any(String) }] } });
  const uid = /"uid":"(\w+)"/.exec(JSON.stringify(made.body))?.[1] ?? '';
  const one = `${events}/${uid}`;
  expect((await call(simulator, one, accessToken)).body).toMatchObject({ events: [{ title: 'Call' }] });
  const moved = new URLSearchParams({ eventdata: eventdata.replace('Call', 'Visit') });
  await call(simulator, one, accessToken, { method: 'PUT', body: moved });
  expect((await call(simulator, events, accessToken)).body).toMatchObject({ events: [{ title: 'Visit' }] });
  await call(simulator, one, accessToken, { method: 'DELETE' });
  expect((await call(simulator, events, accessToken)).body).toEqual({ events: [] });
  expect((await call(simulator, events, accessToken, { method: 'POST' })).status).toBe(400);
});

it('tells how many refresh tokens a user has, and which grant the next consent ends', () => {
  const simulator = createSimulator({ users: [user] });
  simulator.zoho.change({ refreshTokens: { max: 2, overflow: 'evict' } });
  const { family } = tokenIn(simulator);
  expect(simulator.slots(user.id, demoClient.clientId)).toEqual({ living: 1, max: 2, next: null });
  tokenIn(simulator);
  expect(simulator.slots(user.id, demoClient.clientId)).toMatchObject({ living: 2, next: { id: family } });
});

it('has a page on which a user removes an application, and is deactivated', async () => {
  await using simulator = await startSimulator({ users: [user], dataCenters: ['eu'] });
  const page = `${Object.values(simulator.origins())[0]}/_sim/connected-apps`;
  const shown = async () => (await fetch(page)).text();
  const press = async (fields: Record<string, string>) => {
    await fetch(page, { method: 'POST', body: new URLSearchParams(fields), headers: { origin: new URL(page).origin } });
  };
  const { refreshToken, accessToken } = tokenIn(simulator);
  expect(await shown()).toContain(`${user.id}: ${demoClient.clientId}, 1 grant`);
  await press({ do: 'activate', user: user.id, active: 'false' });
  expect(simulator.registry.isDeactivated(user.id)).toBe(true);
  await press({ do: 'activate', user: user.id, active: 'true' });
  await press({ do: 'remove', user: user.id, clientId: demoClient.clientId });
  expect(simulator.isAlive(refreshToken)).toBe(false);
  expect(simulator.familyOf(refreshToken)).toMatchObject({ revoked: 'the user removed the application' });
  expect((await call(simulator, 'https://www.zohoapis.eu/crm/v8/org', accessToken)).status).toBe(401);
  expect(await shown()).toContain('No user has connected an application.');
});
