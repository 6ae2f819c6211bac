import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  authorize,
  exchange,
  mint,
  post,
  redirectUri,
  refresh,
  scope,
  zoho,
} from '../../../test/support/zoho-requests.ts';
import { demoClient } from '../index.ts';

describe("Zoho's consent", () => {
  it('moves a European user from the American server to theirs, and says where the code belongs', async () => {
    const simulator = zoho();
    const moved = await authorize(simulator, { login_hint: 'user@eu.example' });
    expect(moved.location).toMatch(/^https:\/\/accounts\.zoho\.eu\/oauth\/v2\/auth\?/);
    const landed = await simulator.fetch(new Request(moved.location ?? ''));
    const callback = new URL(landed.headers.get('location') ?? '').searchParams;
    expect(callback.get('location')).toBe('eu');
    expect(callback.get('accounts-server')).toBe('https://accounts.zoho.eu');
    expect(callback.get('state')).toBe('s t');
    const code = callback.get('code') ?? '';
    expect((await exchange(simulator, code)).body).toEqual({ error: 'invalid_client' });
    const { body } = await exchange(simulator, code, {}, 'https://accounts.zoho.eu/oauth/v2/token');
    expect(body).toMatchObject({ api_domain: 'https://www.zohoapis.eu', token_type: 'Bearer', expires_in: 3600 });
    expect(body['access_token']).toMatch(/^1000\.[0-9a-f]{32}\.[0-9a-f]{32}$/);
  });

  it('does not move users into or out of China, nor where the client is not enabled', async () => {
    const clients = [{ clientId: 'here-only', secret: 's', dataCenters: ['us'] }];
    const simulator = zoho({ clients });
    expect((await authorize(simulator, { login_hint: 'user@cn.example' })).response.status).toBe(400);
    expect(
      (await authorize(simulator, { login_hint: 'user@eu.example', client_id: 'here-only' })).response.status,
    ).toBe(400);
  });

  it('gives a refresh token with the first or a prompted offline consent only', async () => {
    const simulator = zoho();
    const tokenAfter = async (change: Record<string, string>) => {
      const { callback } = await authorize(simulator, change);
      return (await exchange(simulator, callback.get('code') ?? '')).body['refresh_token'];
    };
    expect(await tokenAfter({ access_type: 'online' })).toBeUndefined();
    const first = await tokenAfter({});
    expect(first).toBeDefined();
    expect(await tokenAfter({})).toBeUndefined();
    const second = await tokenAfter({ prompt: 'consent' });
    expect(second).not.toBe(first);
    expect([first, second].every((token) => simulator.isAlive(String(token)))).toBe(true);
  });

  it.each([
    ['Invalid response type', { response_type: null }],
    ['Invalid response type', { client_id: null }],
    ['Invalid Client', { client_id: '1000.NOBODY' }],
    ['Invalid Client', { response_type: 'id_token' }],
    ['Invalid OAuth scope', { scope: null }],
    ['Invalid OAuth scope', { scope: 'ZohoCRM.modules.ALL ZohoCRM.org.READ' }],
    ['Invalid OAuth scope', { scope: 'ZohoCRN.modules.ALL' }],
    ['Invalid Redirect Uri', { redirect_uri: null }],
  ])('answers with the page "%s" and never redirects: %o', async (title, change) => {
    const { response, location } = await authorize(zoho(), change);
    expect(location).toBeNull();
    expect(await response.text()).toContain(title);
  });

  it('shows a page that a person accepts or declines, with everything escaped', async () => {
    const simulator = zoho({ autoApprove: false });
    const { response } = await authorize(simulator, { state: '"><script>alert(1)</script>' });
    const markup = await response.text();
    expect(markup).toContain('ZohoCRM.org.READ');
    expect(markup).not.toContain('<script>');
    const fields = {
      response_type: 'code',
      client_id: demoClient.clientId,
      redirect_uri: redirectUri,
      scope,
      state: 'x',
      decision: 'decline',
    };
    const decide = (decision: string) =>
      simulator.fetch(
        new Request('https://accounts.zoho.com/oauth/v2/auth/consent', {
          method: 'POST',
          body: new URLSearchParams({ ...fields, decision }),
        }),
      );
    expect((await decide('decline')).headers.get('location')).toBe(`${redirectUri}?error=access_denied&state=x`);
    expect((await decide('accept')).headers.get('location')).toMatch(/[?&]code=1000\./);
  });

  it('changes the callback as the settings say', async () => {
    const callback = {
      accountsServer: { value: 'https://accounts.evil.example' },
      location: 'missing',
      state: 'echoed',
      duplicate: ['code'],
      trailingAmpersand: true,
    } as const;
    const { location, callback: got } = await authorize(zoho({ zoho: { callback } }));
    expect(got.get('accounts-server')).toBe('https://accounts.evil.example');
    expect(got.getAll('code')).toHaveLength(2);
    expect(got.has('location')).toBe(false);
    expect(location?.endsWith('&')).toBe(true);
  });
});

describe("Zoho's token endpoint", () => {
  it('takes a code once, for two minutes, with its own redirect URI and verifier', async () => {
    const simulator = zoho({ zoho: { codes: 'off', refreshTokenCreation: 'off' } });
    const code = async (change = {}) =>
      (await authorize(simulator, { prompt: 'consent', ...change })).callback.get('code') ?? '';
    const challenge = { code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' };
    expect((await exchange(simulator, await code(), { redirect_uri: 'https://app.example/other' })).body).toEqual({
      error: 'invalid_redirect_uri',
    });
    expect((await exchange(simulator, await code(challenge))).body).toEqual({ error: 'invalid_request' });
    expect((await exchange(simulator, await code(challenge), { code_verifier: 'wrong' })).body).toEqual({
      error: 'invalid_request',
    });
    const good = await code(challenge);
    const verifier = { code_verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk' };
    expect((await exchange(simulator, good, verifier)).body).toHaveProperty('refresh_token');
    expect((await exchange(simulator, good, verifier)).body).toEqual({ error: 'invalid_code' });
    const old = await code();
    simulator.clock.advance(120_000);
    expect(await exchange(simulator, old)).toEqual({ status: 200, body: { error: 'invalid_code' } });
  });

  it('takes the query, urlencoded, multipart and Basic', async () => {
    const simulator = zoho();
    const { refreshToken } = mint(simulator);
    const fields = {
      client_id: demoClient.clientId,
      client_secret: demoClient.secret ?? '',
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
    };
    const multipart = new FormData();
    for (const [name, value] of Object.entries(fields)) multipart.set(name, value);
    const url = 'https://accounts.zoho.com/oauth/v2/token';
    const basic = {
      authorization: `Basic ${Buffer.from(`${fields.client_id}:${fields.client_secret}`).toString('base64')}`,
    };
    const rest = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken });
    const requests = [
      new Request(`${url}?${new URLSearchParams(fields).toString()}`, { method: 'POST' }),
      new Request(url, { method: 'POST', body: new URLSearchParams(fields) }),
      new Request(url, { method: 'POST', body: multipart }),
      new Request(url, { method: 'POST', headers: basic, body: rest }),
    ];
    for (const request of requests)
      expect(await (await simulator.fetch(request)).json()).toHaveProperty('access_token');
    const asJson = new Request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(fields),
    });
    expect((await simulator.fetch(asJson)).status).toBe(400);
    expect((await simulator.fetch(new Request(url))).status).toBe(400);
  });

  it('tells a wrong client, a wrong secret and a dead token apart, with status 200', async () => {
    const clients = [{ clientId: 'two', secrets: { us: 'secret-us', eu: 'secret-eu' } }];
    const simulator = zoho({ clients });
    const { refreshToken } = mint(simulator);
    const ask = (fields: Record<string, string>) =>
      post(simulator, { grant_type: 'refresh_token', refresh_token: refreshToken, ...fields });
    expect(await ask({ client_id: 'nobody' })).toEqual({ status: 200, body: { error: 'invalid_client' } });
    expect((await ask({ client_secret: 'wrong' })).body).toEqual({ error: 'invalid_client_secret' });
    expect((await ask({ client_id: 'two', client_secret: 'secret-eu' })).body).toEqual({
      error: 'invalid_client_secret',
    });
    expect((await ask({ client_id: 'two', client_secret: 'secret-us' })).body).toEqual({ error: 'invalid_code' });
    expect((await refresh(simulator, refreshToken, 'https://accounts.zoho.eu/oauth/v2/token')).body).toEqual({
      error: 'invalid_client',
    });
    simulator.revoke(refreshToken);
    expect((await ask({})).body).toEqual({ error: 'invalid_code' });
  });

  it('exchanges a self client code without a redirect URI', async () => {
    const simulator = zoho();
    const code = simulator.mintCode({
      clientId: demoClient.clientId,
      user: 'user@in.example',
      scopes: ['ZohoCRM.modules.ALL'],
    });
    const { body } = await post(
      simulator,
      { grant_type: 'authorization_code', code },
      'https://accounts.zoho.in/oauth/v2/token',
    );
    expect(body).toMatchObject({ api_domain: 'https://www.zohoapis.in', refresh_token: expect.any(String) });
  });

  it('has the legacy form of expires_in, and an api_domain that is missing or ends in a slash', async () => {
    const simulator = zoho();
    simulator.zoho.change({ expiresIn: 'legacy_milliseconds', apiDomain: 'missing' }, { dc: 'eu' });
    simulator.zoho.change({ apiDomain: 'trailing_slash' }, { dc: 'us' });
    const eu = await refresh(
      simulator,
      mint(simulator, 'user@eu.example').refreshToken,
      'https://accounts.zoho.eu/oauth/v2/token',
    );
    expect(eu.body).toMatchObject({ expires_in: 3_600_000, expires_in_sec: 3600 });
    expect(eu.body).not.toHaveProperty('api_domain');
    expect((await refresh(simulator, mint(simulator).refreshToken)).body).toMatchObject({
      api_domain: 'https://www.zohoapis.com/',
      expires_in: 3600,
    });
  });

  it('requires soid for client credentials', async () => {
    const simulator = zoho({ users: [{ id: 'a', dc: 'us', orgId: '77' }] });
    const ask = (fields: Record<string, string>) =>
      post(simulator, { grant_type: 'client_credentials', scope: 'ZohoCRM.org.READ', ...fields });
    expect((await ask({})).body).toEqual({ error: 'missing_org_info' });
    expect((await ask({ soid: '77' })).body).toEqual({ error: 'invalid_soid' });
    expect((await ask({ soid: 'ZohoCRM.78' })).body).toEqual({ error: 'invalid_org' });
    const { body } = await ask({ soid: 'ZohoCRM.77' });
    expect(body).toHaveProperty('access_token');
    expect(body).not.toHaveProperty('refresh_token');
  });
});

describe("Zoho's other endpoints", () => {
  it('revokes at both URLs: the current one only with Basic, the older one without authentication', async () => {
    const simulator = zoho();
    const first = mint(simulator).refreshToken;
    const second = mint(simulator).refreshToken;
    const url = 'https://accounts.zoho.com/oauth/v2/revoke/token';
    const send = (to: string, init: RequestInit = {}) => simulator.fetch(new Request(to, { method: 'POST', ...init }));
    const basic = {
      authorization: `Basic ${Buffer.from(`${demoClient.clientId}:${demoClient.secret}`).toString('base64')}`,
    };
    expect((await send(`${url}?token=${first}`)).status).toBe(400);
    expect(simulator.isAlive(first)).toBe(true);
    expect((await send(url, { headers: basic, body: new URLSearchParams({ token: first }) })).status).toBe(200);
    expect(simulator.isAlive(first)).toBe(false);
    expect((await send(url, { headers: basic, body: new URLSearchParams({ token: first }) })).status).toBe(400);
    const old = await send(`https://accounts.zoho.com/oauth/v2/token/revoke?token=${second}`);
    expect(await old.json()).toEqual({ status: 'success' });
    expect(simulator.isAlive(second)).toBe(false);
  });

  it('lists the data centres, with what the settings add or take out', async () => {
    const simulator = zoho({
      zoho: { serverInfo: { extra: { xx: 'https://accounts.evil.example' }, missing: ['uk'] } },
    });
    const answer = await simulator.fetch(new Request('https://accounts.zoho.com/oauth/serverinfo'));
    const info = z.object({ locations: z.record(z.string(), z.string()) }).parse(await answer.json());
    expect(info.locations).toMatchObject({ ca: 'https://accounts.zohocloud.ca', xx: 'https://accounts.evil.example' });
    expect(info.locations).not.toHaveProperty('uk');
  });

  it('lets a device wait, slows it down, and sends it to the data centre of its user', async () => {
    const simulator = zoho();
    const ask = (path: string, fields: Record<string, string>, host = 'accounts.zoho.com') =>
      post(simulator, fields, `https://${host}/oauth/v3/device/${path}`);
    const { body } = await ask('code', {
      grant_type: 'device_request',
      scope: 'ZohoCRM.org.READ',
      access_type: 'offline',
    });
    const poll = (host?: string) =>
      ask('token', { grant_type: 'device_token', code: String(body['device_code']) }, host);
    expect((await poll()).body).toEqual({ error: 'authorization_pending' });
    expect((await poll()).body).toEqual({ error: 'slow_down' });
    await simulator.fetch(new Request(`${String(body['verification_uri_complete'])}&login_hint=user@eu.example`));
    simulator.clock.advance(30_000);
    expect((await poll()).body).toEqual({ error: 'other_dc', user_location: 'eu' });
    simulator.clock.advance(30_000);
    expect((await poll('accounts.zoho.eu')).body).toHaveProperty('refresh_token');
  });

  it('adds scopes to a refresh token that lives on', async () => {
    const simulator = zoho();
    const { refreshToken, family } = mint(simulator);
    const first = await post(
      simulator,
      { grant_type: 'update_scopes_token', refresh_token: refreshToken },
      'https://accounts.zoho.com/oauth/v2/token/scopeenhance',
    );
    const query = {
      response_type: 'update_scopes',
      client_id: demoClient.clientId,
      redirect_uri: redirectUri,
      scope: 'ZohoBooks.contacts.READ',
      enhance_token: String(first.body['access_token']),
    };
    const second = await simulator.fetch(
      new Request(`https://accounts.zoho.com/oauth/v2/token/addextrascope?${new URLSearchParams(query).toString()}`),
    );
    expect(second.headers.get('location')).toBe(`${redirectUri}?status=success&scope_enhanced=true`);
    expect(simulator.family(family)?.scopes).toContain('ZohoBooks.contacts.READ');
    expect(simulator.isAlive(refreshToken)).toBe(true);
  });
});
