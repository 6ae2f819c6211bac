/** A call that fails for a cause that the vault knows: the caller hears the cause, never a bare 401. */
import { describe, expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { makeUpstream, tokens } from '../../../test/support/upstream.ts';
import { OAuthTokenService } from '../drop-in/token-service.ts';

const key = { tenant: 'acme', provider: 'plain' };

describe('a host of another data centre', () => {
  async function european(metadata: Record<string, unknown>) {
    const bench = await makeBench({ profiles: ['zoho'] });
    const { vault, world } = await bench.open();
    const { key: grant } = await bench.connect(vault, { provider: 'zoho' });
    const account = { ...grant, account: 'second' };
    await vault.storeTokens(account, { app: 'zoho', refreshToken: 'r', accessToken: 'a', expiresIn: 3_600, metadata });
    return { bench, vault, world, account };
  }
  it.each([{ dc: 'eu' }, { api_domain: 'https://www.zohoapis.eu' }])(
    'is refused before anything is sent: %o',
    async (named) => {
      const { bench, vault, world, account } = await european(named);
      await using _ = bench;
      const sent: string[] = [];
      world.onSend = (url) => void sent.push(url);
      await expect(vault.fetch(account, 'https://www.zohoapis.com/crm/v8/org')).rejects.toMatchObject({
        code: 'invalid_request',
        reason: 'wrong_data_centre',
        message:
          'www.zohoapis.com is in the data centre us, and the grant of acme at zoho is in eu. The call was not sent.',
        action: expect.stringContaining('call https://www.zohoapis.eu'),
      });
      expect(sent).toEqual([]);
    },
  );

  it('is called if the data centre of the grant is only assumed', async () => {
    const { bench, vault, account } = await european({});
    await using _ = bench;
    await expect(vault.fetch(account, 'https://www.zohoapis.eu/crm/v8/org')).rejects.not.toMatchObject({
      reason: 'wrong_data_centre',
    });
  });
});

it('tells that several apps could refresh the token that the API rejected: fetch, proxy and health', async () => {
  await using upstream = await makeUpstream({
    api: (_, response) => response.writeHead(401, { 'content-type': 'application/json' }).end('{"code":"INVALID"}'),
    change: (definition) => ({ ...definition, api: { ...definition.api, health: { path: '/org' } } }),
  });
  const { vault } = upstream;
  await vault.apps.put('another', { provider: 'plain', clientId: 'other', clientSecret: 'another-secret' });
  // A grant that is bound to no app, as `OAuthTokenService` and a take-over leave them.
  const service = new OAuthTokenService(vault);
  const unbound = { tenant: 'initech', provider: 'plain' };
  await service.storeTokens('initech', 'plain', { accessToken: 'a', refreshToken: 'r', expiresIn: 3_600 });
  const cause = { code: 'invalid_request', reason: 'ambiguous_app' };
  await expect(vault.fetch(unbound, '/x')).rejects.toMatchObject({
    ...cause,
    message: expect.stringMatching(
      /^The API rejected the token \(status 401\).*Several apps for plain.*another, plain/,
    ),
    response: { status: 401, data: { code: 'INVALID' } },
  });
  expect(await vault.health(unbound)).toMatchObject({
    status: 'unhealthy',
    error: 'invalid_request',
    reason: 'ambiguous_app',
    actionRequired: true,
  });
  const { key: admin } = await vault.keys.create('all', { role: 'admin' });
  const proxied = await fetch(`${upstream.url}/v1/proxy/initech/plain/x`, {
    headers: { authorization: `Bearer ${admin.reveal()}` },
  });
  expect([proxied.status, proxied.headers.get('grantry-generation')]).toEqual([400, null]);
  expect(await proxied.json()).toMatchObject({ ...cause, response: { status: 401, data: { code: 'INVALID' } } });
});

it('gives the good token to who reports one that the API accepts, and says so with an answer about the call', async () => {
  await using upstream = await makeUpstream({
    api: ({ url }, response) => response.writeHead(url === '/org' ? 200 : 401).end(),
    change: (definition) => ({ ...definition, api: { ...definition.api, health: { path: '/org' } } }),
  });
  const { vault } = upstream;
  const fresh = await vault.rejectAccessToken(key, 1);
  expect(fresh).toMatchObject({ accessToken: tokens.refreshed, generation: 2 });
  expect(await vault.rejectAccessToken(key, 2)).toMatchObject({ accessToken: tokens.refreshed, generation: 2 });
  expect(upstream.refreshes).toBe(1);
  for (const _ of ['the first call', 'a later one']) {
    const answer = await vault.fetch(key, '/admin-only');
    expect([answer.status, answer.headers.get('grantry-reason')]).toEqual([401, 'token_accepted']);
    const proxied = await upstream.call('/admin-only');
    expect([proxied.status, proxied.headers.get('grantry-reason')]).toEqual([401, 'token_accepted']);
  }
  expect(upstream.refreshes).toBe(1);
});

it('passes the answer of the API on if a fresh token is rejected too', async () => {
  await using upstream = await makeUpstream({ api: (_, response) => response.writeHead(401).end('no') });
  for (const _ of ['the first call', 'a later one']) {
    const answer = await upstream.call('/x');
    expect([answer.status, await answer.text(), answer.headers.get('grantry-reason')]).toEqual([401, 'no', null]);
  }
  expect(upstream.refreshes).toBe(1);
});
