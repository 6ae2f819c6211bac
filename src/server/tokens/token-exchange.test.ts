/** Tools that speak OAuth fetch tokens from Grantry: the real client libraries do it here. */
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { describe, expect, it } from 'vitest';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';

interface Reader {
  readonly id: string;
  readonly key: string;
}

async function makeReader(server: ServerBench): Promise<Reader> {
  const { apiKey, key } = await server.vault.keys.create('tool', { role: 'reader', tenants: ['acme'] });
  return { id: apiKey.id, key: key.reveal() };
}

function serverOf({ url }: ServerBench): oauth.AuthorizationServer {
  return { issuer: url, token_endpoint: `${url}/oauth2/token` };
}

describe('POST /oauth2/token', () => {
  it.each([
    ['Basic', oauth.ClientSecretBasic],
    ['the form', oauth.ClientSecretPost],
  ])('serves oauth4webapi with the key in %s', async (_, authentication) => {
    await using server = await makeServerBench();
    await server.bench.connect(server.vault);
    const { id, key } = await makeReader(server);
    const client = { client_id: id };
    const response = await oauth.genericTokenEndpointRequest(
      serverOf(server),
      client,
      authentication(key),
      grantType,
      {
        audience: 'strict',
        subject_token: 'acme',
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      },
      { [oauth.allowInsecureRequests]: true },
    );
    const answer = await oauth.processGenericTokenEndpointResponse(serverOf(server), client, response);
    const direct = await server.vault.getAccessToken({ tenant: 'acme', provider: 'strict' });
    expect(answer).toMatchObject({
      access_token: direct.accessToken,
      token_type: 'bearer',
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      scope: 'read',
    });
  });

  it('serves openid-client', async () => {
    await using server = await makeServerBench();
    await server.bench.connect(server.vault);
    const { id, key } = await makeReader(server);
    const configuration = new openid.Configuration(serverOf(server), id, key);
    openid.allowInsecureRequests(configuration);
    const parameters = { audience: 'strict', subject_token: 'acme', subject_token_type: 'urn:x' };
    const answer = await openid.genericGrantRequest(configuration, grantType, parameters);
    expect(answer.access_token.length).toBeGreaterThan(20);
    expect(answer.expires_in).toBeGreaterThan(60);
  });

  it.each([
    ['another tenant', { subject_token: 'globex' }, 400, 'unauthorized_client'],
    ['a tenant without a grant', { audience: 'none' }, 400, 'invalid_grant'],
    ['a provider that is none', { audience: 'n o' }, 400, 'invalid_request'],
    ['no audience', { audience: '' }, 400, 'invalid_target'],
    ['another grant type', { grant_type: 'client_credentials' }, 400, 'unsupported_grant_type'],
    ['more scopes than granted', { scope: 'read write' }, 400, 'invalid_scope'],
    ['an actor', { actor_token: 'x' }, 400, 'invalid_request'],
    ['a wrong key', { client_secret: 'gry_wrong' }, 401, 'invalid_client'],
    ["another key's id", { client_id: 'somebody' }, 401, 'invalid_client'],
    ['no client', { client_id: '', client_secret: '' }, 401, 'invalid_client'],
  ] as const)('refuses %s in the form of RFC 6749', async (_, changes, status, error) => {
    await using server = await makeServerBench({ profiles: ['strict', 'none'] });
    await server.bench.connect(server.vault);
    const { id, key } = await makeReader(server);
    const form = {
      grant_type: grantType,
      audience: 'strict',
      subject_token: 'acme',
      client_id: id,
      client_secret: key,
    };
    const answer = await server.call('POST', '/oauth2/token', {
      key: null,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ ...form, ...changes }).toString(),
    });
    expect([answer.status, answer.body.error]).toEqual([status, error]);
    expect(answer.body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('refuses two ways of client authentication, and a parameter that comes twice', async () => {
    await using server = await makeServerBench();
    const { id, key } = await makeReader(server);
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`${id}:${key}`).toString('base64')}`,
    };
    const twoWays = await server.call('POST', '/oauth2/token', {
      key: null,
      headers,
      body: new URLSearchParams({ grant_type: grantType, client_id: id, client_secret: key }).toString(),
    });
    expect([twoWays.status, twoWays.body.error]).toEqual([400, 'invalid_request']);
    const twice = await server.call('POST', '/oauth2/token', { key: null, headers, body: 'audience=a&audience=b' });
    expect([twice.status, twice.body.error]).toEqual([400, 'invalid_request']);
  });
});
