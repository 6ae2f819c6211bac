/** What Grantry does not offer is refused, not half done. The checklist says which rows these are. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { readTokenAnswer } from '../../src/oauth/answer.ts';
import { parseProviderDefinition } from '../../src/providers/parse.ts';
import { makeServerBench } from '../support/server-bench.ts';

const small = {
  id: 'example',
  endpoints: { token: 'https://as.example/token' },
  api: { hosts: ['https://api.example'] },
};

describe('not offered', () => {
  it('C-31 no route and no endpoint of a definition is an introspection', async () => {
    await using server = await makeServerBench();
    const { body } = await server.call('GET', '/openapi.json', { key: null });
    expect(Object.keys(body.paths).filter((path) => path.includes('introspect'))).toEqual([]);
    for (const path of ['/oauth2/introspect', '/introspect']) {
      expect((await server.call('POST', path, { body: { token: 'x' } })).status).toBe(404);
    }
    const endpoints = { ...small.endpoints, introspection: 'https://as.example/introspect' };
    expect(() => parseProviderDefinition({ ...small, endpoints })).toThrow('introspection');
  });

  it('C-33 a definition that asks for pushed requests is refused', () => {
    const endpoints = { ...small.endpoints, pushedAuthorization: 'https://as.example/par' };
    expect(() => parseProviderDefinition({ ...small, endpoints })).toThrow('pushedAuthorization');
  });

  it('C-34 a token that wants a proof of possession is not handed out as a bearer token', () => {
    const answer = JSON.stringify({ access_token: 'an-access-token', token_type: 'DPoP', expires_in: 60 });
    const raw = { contentType: 'application/json', retryAfter: null, body: new Secret(answer), incomplete: false };
    const read = readTokenAnswer(parseProviderDefinition(small), { ...raw, status: 200, requestedAt: 0 }, 'refresh');
    expect(read.kind).toBe('unknown');
  });

  it('C-35 a token exchange that names a resource is refused', async () => {
    await using server = await makeServerBench();
    const { apiKey, key } = await server.vault.keys.create('tool', { role: 'reader', tenants: ['acme'] });
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: 'strict',
      subject_token: 'acme',
      client_id: apiKey.id,
      client_secret: key.reveal(),
      resource: 'https://api.example',
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await server.call('POST', '/oauth2/token', { key: null, headers, body: form.toString() });
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request']);
  });

  it('C-36 a key for one provider exchanges no token of another', async () => {
    await using server = await makeServerBench({ profiles: ['strict', 'none'] });
    await server.bench.connect(server.vault);
    await server.bench.connect(server.vault, { provider: 'none' });
    const input = { role: 'reader', tenants: ['acme'], providers: ['none'] } as const;
    const { apiKey, key } = await server.vault.keys.create('tool', input);
    const exchange = async (audience: string): Promise<number> => {
      const form = new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        audience,
        subject_token: 'acme',
        client_id: apiKey.id,
        client_secret: key.reveal(),
      });
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      return (await server.call('POST', '/oauth2/token', { key: null, headers, body: form.toString() })).status;
    };
    expect([await exchange('none'), await exchange('strict')]).toEqual([200, 400]);
  });

  it('ASVS-13.4 errors tell neither a version nor a place in the code', async () => {
    await using server = await makeServerBench({ server: { version: '77.6.5' } });
    const answers = [
      await server.call('GET', '/nowhere', { key: null }),
      await server.call('GET', '/v1/grants', { key: null }),
      await server.call('POST', '/v1/keys', { body: '{', headers: { 'content-type': 'application/json' } }),
      await server.call('GET', '/connect/x', { key: null }),
      await server.call('GET', '/readyz', { key: null }),
    ];
    for (const { text, headers } of answers) {
      expect(text).not.toMatch(/77\.6\.5|node_modules|\.ts:\d|\.js:\d|at \w+ \(/);
      expect([headers.get('server'), headers.get('x-powered-by')]).toEqual([null, null]);
    }
  });
});
