/** Parameters that name a data centre decide where the client secret goes: they are keys into a list, and nothing else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuthorizationServer, json } from './authorization-server.ts';
import { RedTeam } from './bench.ts';

let team: RedTeam;
let us: AuthorizationServer;
let eu: AuthorizationServer;
let evil: AuthorizationServer;
let tenants = 0;

beforeAll(async () => {
  team = await RedTeam.start();
  evil = await team.provider('evil');
  eu = await team.provider('eu-only');
  us = await team.provider('us-only');
  await team.vault.providers.put({
    id: 'dcs',
    endpoints: { authorization: '{dc.accounts}/authorize', token: '{dc.accounts}/token' },
    dataCenters: {
      us: { accounts: us.origin, api: us.origin },
      eu: { accounts: eu.origin, api: eu.origin },
    },
    callback: { dataCenter: 'location', accountsServer: 'accounts-server' },
    capture: { token: { api_domain: 'api_domain' } },
    api: { hosts: [us.origin, eu.origin] },
  });
  const secrets = { us: 'secret-of-us', eu: 'secret-of-eu' };
  await team.app('dcs-app', 'dcs', { dc: 'us', client_secret: undefined, client_secrets: secrets });
});

afterAll(() => team[Symbol.asyncDispose]());

async function come(change: (query: URLSearchParams) => void, at: AuthorizationServer = us) {
  tenants += 1;
  const tenant = `tenant-${tenants}`;
  const session = await team.session({ tenant, provider: 'dcs' });
  const before = [us, eu, evil].map((server) => server.heard.length);
  const answer = await team.visitor().connect(session.url, at, change);
  const heard = [us, eu, evil].map((server, index) => server.heard.length - (before[index] ?? 0));
  const { status, body } = await team.api('GET', `/v1/tenants/${tenant}/grants/dcs`);
  return { answer, heard, tenant, grant: status === 200 ? body : null };
}

describe('C-10: the data centre of the callback', () => {
  it('C-10 an entry of the list is taken, and its own secret goes there', async () => {
    const { grant, heard } = await come((query) => {
      query.set('location', 'eu');
      query.set('accounts-server', eu.origin);
    }, eu);
    expect(heard).toEqual([0, 1, 0]);
    expect(grant?.dc).toBe('eu');
    expect(eu.at('/token').at(-1)?.form.get('client_secret')).toBe('secret-of-eu');
  });

  const servers: [string, (origin: string) => string][] = [
    ['another host', () => evil.origin],
    ['https elsewhere', () => 'https://evil.example'],
    ['the name continued', (origin) => `${origin}.evil.example`],
    ['the name as a user', (origin) => `${origin}@evil.example`],
    ['the other scheme', (origin) => origin.replace('http:', 'https:')],
    ['a trailing dot', (origin) => origin.replace('127.0.0.1', '127.0.0.1.')],
    ['a slash at the end', (origin) => `${origin}/`],
    ['capitals', (origin) => origin.replace('http', 'HTTP')],
    ['a look-alike letter', () => 'https://аccounts.zoho.eu'],
    ['another port', (origin) => `${origin}0`],
    ['a path', (origin) => `${origin}/evil`],
    ['an escape', (origin) => origin.replace('127.0.0.1', '127%2e0.0.1')],
    ['white space', (origin) => ` ${origin}`],
    ['a line break', (origin) => `${origin}\r\nHost: evil.example`],
    ['another form of the address', (origin) => origin.replace('127.0.0.1', '2130706433')],
    ['a fragment', (origin) => `${origin}#`],
    ['a query', (origin) => `${origin}?`],
    ['nothing', () => ''],
    ['a prototype member', () => '__proto__'],
  ];

  it.each(servers)(
    'C-10 with a valid session and state, accounts-server is %s: refused, nothing leaves',
    async (_, form) => {
      const { answer, heard, grant } = await come((query) => query.set('accounts-server', form(eu.origin)));
      expect([answer.status, heard, grant]).toEqual([400, [0, 0, 0], null]);
      expect(answer.text).toContain('This answer was refused');
    },
  );

  it.each(['evil', 'EU', 'e u', 'eu.evil', '', '__proto__', 'constructor', 'accounts'])(
    'C-10 with a valid session and state, location is %j: refused, nothing leaves',
    async (location) => {
      const { answer, heard, grant } = await come((query) => query.set('location', location));
      expect([answer.status, heard, grant]).toEqual([400, [0, 0, 0], null]);
    },
  );

  it('C-10 location and accounts-server that contradict each other are refused', async () => {
    const { answer, heard } = await come((query) => {
      query.set('location', 'eu');
      query.set('accounts-server', us.origin);
    });
    expect([answer.status, heard]).toEqual([400, [0, 0, 0]]);
  });

  it.each(['location', 'accounts-server'])('C-10 a repeated %s is refused', async (name) => {
    const { answer, heard } = await come((query) => {
      query.append(name, name === 'location' ? 'us' : us.origin);
      query.append(name, name === 'location' ? 'eu' : evil.origin);
    });
    expect([answer.status, heard]).toEqual([400, [0, 0, 0]]);
  });

  it('C-10 the data centre of a grant changes only through a new consent, even if a refresh names another', async () => {
    const { tenant, grant } = await come(() => {});
    expect(grant?.dc).toBe('us');
    const tokens = { access_token: 'another-access-token', token_type: 'Bearer', expires_in: 3_600 };
    us.rules = {
      answerToken: (heard, response) => {
        if (heard.form.get('grant_type') !== 'refresh_token') return false;
        json(response, 200, { ...tokens, api_domain: eu.origin, location: 'eu', 'accounts-server': eu.origin });
        return true;
      },
    };
    const before = us.at('/token').length;
    const key = { tenant, provider: 'dcs' };
    await team.vault.rejectAccessToken(key, 1);
    await team.vault.rejectAccessToken(key, 2);
    us.rules = {};
    expect(us.at('/token').length).toBe(before + 2);
    expect((await team.api('GET', `/v1/tenants/${tenant}/grants/dcs`)).body.dc).toBe('us');
  });
});

describe('C-10: a data centre with registrations of its own', () => {
  it.each([
    ['into it', 'us', 'cn'],
    ['out of it', 'cn', 'us'],
  ])('C-10 code and secret of a client are not led %s', async (_, home, named) => {
    const cn = eu;
    const id = `separate-${home}`;
    await team.vault.providers.put({
      id,
      endpoints: { authorization: '{dc.accounts}/authorize', token: '{dc.accounts}/token' },
      dataCenters: { us: { accounts: us.origin }, cn: { accounts: cn.origin } },
      separateDataCenters: ['cn'],
      callback: { dataCenter: 'location', accountsServer: 'accounts-server' },
      api: { hosts: [us.origin, cn.origin] },
    });
    await team.app(`${id}-app`, id, { dc: home, client_secret: 'a-secret-for-all' });
    const other = home === 'us' ? cn : us;
    const lead = (query: URLSearchParams) => {
      query.set('location', named);
      query.set('accounts-server', other.origin);
    };
    const before = [us, cn].map((server) => server.heard.length);
    const first = await team.session({ tenant: 'acme', provider: id });
    const answer = await team.visitor().connect(first.url, other, lead);
    expect(answer.status).toBe(400);
    expect([us, cn].map((server) => server.heard.length)).toEqual(before);
    // An app that is registered in both says so by a secret for each.
    const secrets = { us: 'the-secret-of-us', cn: 'the-secret-of-cn' };
    await team.app(`${id}-app`, id, { dc: home, client_secret: undefined, client_secrets: secrets });
    const second = await team.session({ tenant: 'acme', provider: id });
    expect((await team.visitor().connect(second.url, other, lead)).status).not.toBe(400);
    expect(other.at('/token').at(-1)?.form.get('client_secret')).toBe(`the-secret-of-${named}`);
  });
});

describe('C-10: api_domain in the token answer', () => {
  it.each([
    ['another host', () => evil.origin],
    ['https elsewhere', () => 'https://evil.example'],
    ['the name continued', () => `${us.origin}.evil.example`],
    ['the name as a user', () => `${us.origin}@evil.example`],
    ['a host without a scheme', () => 'evil.example'],
    ['two slashes', () => '//evil.example'],
    ['a backslash', () => `${us.origin}\\@evil.example`],
    ['a path', () => `${us.origin}/../evil`],
    ['an object', () => ({ host: 'evil.example' })],
  ])('C-10 an api_domain that is %s is not kept, and calls stay at home', async (_, form) => {
    us.rules = { tokens: { api_domain: form() } };
    const { grant, tenant } = await come(() => {});
    us.rules = {};
    expect([null, us.origin]).toContain(grant?.api_domain ?? null);
    await team.vault.fetch({ tenant, provider: 'dcs' }, '/probe');
    expect(us.heard.at(-1)?.path).toBe('/probe');
    expect(evil.heard).toEqual([]);
    await expect(team.vault.fetch({ tenant, provider: 'dcs' }, `${evil.origin}/probe`)).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(evil.heard).toEqual([]);
  });
});
