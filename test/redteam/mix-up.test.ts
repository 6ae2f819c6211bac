/** Two authorization servers, one of which attacks: it never gets a code, token or secret of the other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuthorizationServer } from './authorization-server.ts';
import { RedTeam } from './bench.ts';

let team: RedTeam;
let honest: AuthorizationServer;
let evil: AuthorizationServer;
let tenants = 0;
const issuers = { honest: 'https://honest.example', evil: 'https://evil.example' };

beforeAll(async () => {
  team = await RedTeam.start();
  honest = await team.provider('honest');
  evil = await team.provider('evil');
  await team.app('honest-app', 'honest');
  await team.app('evil-app', 'evil');
});

afterAll(() => team[Symbol.asyncDispose]());

function newTenant(): string {
  tenants += 1;
  return `tenant-${tenants}`;
}

async function hasGrant(tenant: string, provider: string): Promise<boolean> {
  return (await team.api('GET', `/v1/tenants/${tenant}/grants/${provider}`)).status === 200;
}

describe('C-05: each context has an address of its own', () => {
  it('C-05 COAT: a flow that the attacker redirects to the honest server brings the attacker no code', async () => {
    const tenant = newTenant();
    const victim = team.visitor();
    const attack = await team.session({ tenant, provider: 'evil' });
    const atEvil = new URL(await victim.start(attack.url));
    // The attacker's authorization endpoint redirects the browser, with its own state and the other context's address.
    const { body: app } = await team.api('GET', '/v1/apps/honest-app');
    atEvil.searchParams.set('client_id', 'client-of-honest-app');
    atEvil.searchParams.set('redirect_uri', app.redirect_uri);
    const { redirectUri, callback } = honest.consent(atEvil.href);
    const answer = await victim.callback(redirectUri, callback);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('wrong address');
    expect([evil.heard.length, honest.at('/token').length]).toEqual([0, 0]);
    expect([await hasGrant(tenant, 'evil'), await hasGrant(tenant, 'honest')]).toEqual([false, false]);
  });

  it('C-05 CORF: the attacker’s code delivered to another context’s address is refused', async () => {
    const tenant = newTenant();
    const victim = team.visitor();
    const session = await team.session({ tenant, provider: 'honest' });
    const started = honest.consent(await victim.start(session.url));
    const own = evil.consent(await team.visitor().start((await team.session({ tenant, provider: 'evil' })).url));
    const forged = new URLSearchParams({
      code: own.callback.get('code') ?? '',
      state: started.callback.get('state') ?? '',
    });
    expect((await victim.callback(own.redirectUri, forged)).status).toBe(400);
    expect([evil.at('/token').length, honest.at('/token').length]).toEqual([0, 0]);
    expect(await hasGrant(tenant, 'honest')).toBe(false);
  });

  it('C-05 each app has an address of its own, and an address of no app is refused', async () => {
    const { body } = await team.api('GET', '/v1/apps');
    const addresses = body.items.map((app) => app.redirect_uri);
    expect(new Set(addresses).size).toBe(addresses.length);
    const visitor = team.visitor();
    const session = await team.session({ tenant: newTenant(), provider: 'honest' });
    const { callback } = honest.consent(await visitor.start(session.url));
    expect((await visitor.callback(`${team.url}/oauth/callback/nobody`, callback)).status).toBe(400);
  });

  it('C-05 an app that is kept for certain tenants is used for no other, not even after it was begun', async () => {
    const owner = newTenant();
    await team.app('kept', 'honest', { tenants: [owner] });
    const other = newTenant();
    for (const input of [{ app: 'kept' }, { app: 'evil-app' }]) {
      const answer = await team.api('POST', '/v1/connect-sessions', { tenant: other, provider: 'honest', ...input });
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    }
    const visitor = team.visitor();
    const { redirectUri, callback } = honest.consent(
      await visitor.start((await team.session({ tenant: owner, provider: 'honest', app: 'kept' })).url),
    );
    await team.app('kept', 'honest', { tenants: [other] });
    const asked = honest.at('/token').length;
    expect((await visitor.callback(redirectUri, callback)).status).toBe(400);
    expect([honest.at('/token').length, await hasGrant(owner, 'honest')]).toEqual([asked, false]);
  });

  it('C-05 an app whose redirect URI is elsewhere cannot be used for links', async () => {
    await team.app('elsewhere', 'honest', { redirect_uri: 'https://elsewhere.example/callback' });
    const input = { tenant: newTenant(), provider: 'honest', app: 'elsewhere' };
    const { status, body } = await team.api('POST', '/v1/connect-sessions', input);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.detail).toContain("is not this server's");
  });
});

describe('C-07: the issuer in the callback', () => {
  const forms: Record<string, (query: URLSearchParams) => void> = {
    absent: () => {},
    exact: (query) => query.set('iss', issuers.honest),
    'with a slash at its end': (query) => query.set('iss', `${issuers.honest}/`),
    'in capitals': (query) => query.set('iss', 'https://HONEST.example'),
    'of another server': (query) => query.set('iss', issuers.evil),
    repeated: (query) => {
      query.append('iss', issuers.honest);
      query.append('iss', issuers.evil);
    },
  };
  const matrix = Object.keys(forms).flatMap((form) =>
    [true, false].flatMap((promised) => ['code', 'error'].map((answer) => [form, promised, answer] as const)),
  );

  it.each(matrix)('C-07 an issuer that is %s, promised: %s, in an answer with %s', async (form, promised, kind) => {
    const id = promised ? 'promising' : 'silent';
    if ((await team.vault.providers.get(id)) === null) {
      const callback = { issuerAlwaysSent: promised };
      const server = await team.provider(id, {}, { issuer: issuers.honest, callback });
      servers.set(id, server);
      await team.app(`${id}-app`, id);
    }
    const server = servers.get(id);
    if (server === undefined) throw new Error('no server');
    const tenant = newTenant();
    const session = await team.session({ tenant, provider: id });
    const asked = server.at('/token').length;
    const answer = await team.visitor().connect(session.url, server, (query) => {
      if (kind === 'error') {
        query.delete('code');
        query.set('error', 'access_denied');
      }
      forms[form]?.(query);
    });
    const trusted = form === 'exact' || (form === 'absent' && !promised);
    const exchanged = trusted && kind === 'code';
    expect(answer.status).toBe(exchanged ? 303 : 400);
    expect(answer.text.includes('You declined')).toBe(trusted && kind === 'error');
    expect([server.at('/token').length - asked, await hasGrant(tenant, id)]).toEqual([exchanged ? 1 : 0, exchanged]);
  });

  const servers = new Map<string, AuthorizationServer>();
});

describe('C-07: the promise in the metadata of an issuer whose endpoints are given', () => {
  const accepted = async (id: string, server: AuthorizationServer, iss: string | null): Promise<boolean> => {
    const session = await team.session({ tenant: newTenant(), provider: id });
    const answer = await team.visitor().connect(session.url, server, (query) => {
      if (iss !== null) query.set('iss', iss);
    });
    return answer.status === 303;
  };

  it.each([
    [true, false],
    [false, true],
  ])('C-07 promised: %s, a callback without an issuer is accepted: %s', async (promisesIssuer, silent) => {
    const server = await AuthorizationServer.start({ promisesIssuer });
    team.keep(server);
    const id = `metadata-${promisesIssuer}`;
    await team.vault.providers.put(server.definition(id, { issuer: server.origin }));
    await team.app(`${id}-app`, id);
    expect(await accepted(id, server, null)).toBe(silent);
    expect(await accepted(id, server, server.origin)).toBe(true);
    expect(server.at('/.well-known/openid-configuration')).toHaveLength(1);
  });

  it('C-07 stands when the metadata cannot be read later, and its absence refuses nothing', async () => {
    const server = await AuthorizationServer.start();
    team.keep(server);
    const definition = server.definition('later', { issuer: server.origin });
    await team.vault.providers.put(definition);
    await team.app('later-app', 'later');
    expect(await accepted('later', server, null)).toBe(true);
    // The issuer begins to promise. The next look is a minute later.
    server.rules = { promisesIssuer: true };
    team.clock.ms += 60_001;
    expect(await accepted('later', server, null)).toBe(false);
    await team.vault.providers.put(definition);
    server.rules = {};
    team.clock.ms += 60_001;
    await team.vault.providers.put(definition);
    expect(await accepted('later', server, null)).toBe(false);
    expect(await accepted('later', server, server.origin)).toBe(true);
  });
});

describe('C-08 and C-09: a code goes where the question went', () => {
  it('C-08 a provider that borrows the honest server’s authorization endpoint is another context, with another address', async () => {
    const { body: app } = await team.api('GET', '/v1/apps/honest-app');
    const strict = await AuthorizationServer.start({ redirectUris: [app.redirect_uri] });
    team.keep(strict);
    await team.vault.providers.put({
      ...evil.definition('borrower'),
      endpoints: { authorization: `${strict.origin}/authorize`, token: `${evil.origin}/token` },
    });
    await team.app('borrower-app', 'borrower', { client_id: 'client-of-honest-app' });
    const session = await team.session({ tenant: newTenant(), provider: 'borrower' });
    const url = await team.visitor().start(session.url);
    expect(() => strict.consent(url)).toThrow('not registered');
    expect(evil.at('/token')).toEqual([]);
  });

  it('C-08 a provider whose endpoints are changed while a flow is under way gets no code', async () => {
    const moving = await team.provider('moving');
    await team.app('moving-app', 'moving');
    const tenant = newTenant();
    const visitor = team.visitor();
    const url = await visitor.start((await team.session({ tenant, provider: 'moving' })).url);
    const { redirectUri, callback } = moving.consent(url);
    await team.vault.providers.put({
      ...moving.definition('moving'),
      endpoints: { authorization: `${moving.origin}/authorize`, token: `${evil.origin}/token` },
    });
    const answer = await visitor.callback(redirectUri, callback);
    expect([answer.status, evil.at('/token'), moving.at('/token')]).toEqual([400, [], []]);
  });

  it('C-09 no parameter of a callback moves the code or the secret anywhere', async () => {
    const names = [
      'accounts-server',
      'location',
      'api_domain',
      'token_endpoint',
      'token_uri',
      'issuer',
      'redirect_uri',
      'client_id',
      'client_secret',
      'resource',
      'audience',
      'provider',
      'tenant',
      'server',
      'scope',
    ];
    const asked = honest.at('/token').length;
    for (const name of names) {
      const tenant = newTenant();
      const session = await team.session({ tenant, provider: 'honest', app: 'honest-app' });
      const answer = await team.visitor().connect(session.url, honest, (query) => query.set(name, evil.origin));
      expect([name, answer.status, await hasGrant(tenant, 'honest')]).toEqual([name, 303, true]);
    }
    expect(honest.at('/token').length).toBe(asked + names.length);
    expect(evil.heard).toEqual([]);
  });
});
