import { once } from 'node:events';
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { listen, recordingServer } from '../../test/support/recording-server.ts';
import { Secret } from '../base/secret.ts';
import { systemWorld } from '../base/system-world.ts';
import { type ProviderDefinitionInput, providerDefinition } from '../providers/definition.ts';
import { sendRevoke } from './revoke.ts';
import type { OAuthClient } from './types.ts';

const world = systemWorld({ allowLoopback: true });
const request = { token: new Secret('rt'), tokenType: 'refresh_token' } as const;

function clientFor(endpoints: Record<string, string>, more: Partial<ProviderDefinitionInput> = {}): OAuthClient {
  const definition = providerDefinition.parse({
    id: 'example',
    endpoints: { token: 'https://as.example/token', ...endpoints },
    api: { hosts: ['https://api.example'] },
    ...more,
  });
  return { definition, dc: null, clientId: 'client', clientSecret: new Secret('secret') };
}

describe('C-30 RFC 7009', () => {
  it.each([
    ['200', 200, {}, '', { kind: 'revoked' }],
    ['200 with a body', 200, {}, '{"status":"success"}', { kind: 'revoked' }],
    ['204', 204, {}, '', { kind: 'revoked' }],
    ['400 for a token that is dead already', 400, {}, '{"error":"invalid_token"}', { kind: 'revoked' }],
    ['another dead token', 400, {}, '{"error":"invalid_grant"}', { kind: 'revoked' }],
    ['a kind of token that is not revoked', 400, {}, '{"error":"unsupported_token_type"}', { kind: 'unsupported' }],
    ['503 with a time', 503, { 'retry-after': '30' }, '', { kind: 'later', retryAfterMs: 30_000 }],
    ['503 without', 503, {}, '<html>', { kind: 'later', retryAfterMs: null }],
    ['429', 429, { 'retry-after': '7' }, '', { kind: 'later', retryAfterMs: 7_000 }],
    ['wrong client', 401, {}, '{"error":"invalid_client"}', { kind: 'refused', detail: 'client_refused (HTTP 401)' }],
    ['404', 404, {}, '{}', { kind: 'refused', detail: 'not_understood (HTTP 404)' }],
    ['redirect', 302, { location: '/x' }, '{}', { kind: 'refused', detail: 'not_understood (HTTP 302)' }],
  ])('%s', async (_name, status, headers, body, expected) => {
    const { origin, seen } = await recordingServer((response) => response.writeHead(status, headers).end(body));
    expect(await sendRevoke(world, clientFor({ revocation: `${origin}/revoke` }), request)).toEqual(expected);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.url).toBe('/revoke');
    expect(Object.fromEntries(seen[0]?.form ?? [])).toEqual({
      token: 'rt',
      token_type_hint: 'refresh_token',
      client_id: 'client',
      client_secret: 'secret',
    });
  });

  it('a provider without the endpoint', async () => {
    expect(await sendRevoke(world, clientFor({}), request)).toEqual({ kind: 'unsupported' });
  });

  it('no answer, or a lost answer: later', async () => {
    const gone = http.createServer();
    const origin = await listen(gone);
    gone.close();
    await once(gone, 'close');
    expect(await sendRevoke(world, clientFor({ revocation: origin }), request)).toMatchObject({ kind: 'later' });
    const silent = await recordingServer(() => {});
    const signal = AbortSignal.timeout(100);
    const client = clientFor({ revocation: silent.origin });
    expect(await sendRevoke(world, client, { ...request, signal })).toMatchObject({ kind: 'later' });
  });
});

describe('C-30 Zoho', () => {
  it('the current form: Basic, token and token_type', async () => {
    const { origin, seen } = await recordingServer((response) => response.end('{"status":"success"}'));
    const client = clientFor({ revocation: `${origin}/current`, revocationLegacy: `${origin}/older` });
    expect(await sendRevoke(world, client, request)).toEqual({ kind: 'revoked' });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.headers.authorization).toBe(`Basic ${Buffer.from('client:secret').toString('base64')}`);
    expect(Object.fromEntries(seen[0]?.form ?? [])).toMatchObject({ token: 'rt', token_type: 'refresh_token' });
    expect(seen[0]?.form.has('client_secret')).toBe(false);
  });

  it.each([404, 405])(
    '%i at the current form: tries the older one, with only the token in the body',
    async (status) => {
      const { origin, seen } = await recordingServer((response, { url }) =>
        url === '/older' ? response.end('{"status":"success"}') : response.writeHead(status).end(),
      );
      const client = clientFor({ revocation: `${origin}/current`, revocationLegacy: `${origin}/older` });
      expect(await sendRevoke(world, client, request)).toEqual({ kind: 'revoked' });
      expect(seen.map(({ url }) => url)).toEqual(['/current', '/older']);
      expect(Object.fromEntries(seen[1]?.form ?? [])).toEqual({ token: 'rt' });
      expect(seen[1]?.headers.authorization).toBeUndefined();
    },
  );

  it('a bare 400 means that the token is already dead', async () => {
    const { origin } = await recordingServer((response) => response.writeHead(400).end('{}'));
    const client = clientFor({ revocation: `${origin}/current`, revocationLegacy: `${origin}/older` });
    expect(await sendRevoke(world, client, request)).toEqual({ kind: 'revoked' });
  });
});
