import { once } from 'node:events';
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { listen, recordingServer } from '../../test/support/recording-server.ts';
import { limits } from '../base/limits.ts';
import { systemWorld } from '../base/system-world.ts';
import { discoverEndpoints } from './discovery.ts';

const world = systemWorld({ allowLoopback: true });
const local = { allowLoopback: true };
const oidcPath = '/.well-known/openid-configuration';

/** Starts an issuer that publishes the document made from its own origin, at one path. */
async function issuerWith(document: (origin: string) => unknown, path = oidcPath, status = 200): Promise<string> {
  let own = '';
  const { origin } = await recordingServer((response, { url }) => {
    if (url !== path) response.writeHead(404).end();
    else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document(own)));
  });
  own = origin;
  return origin;
}

const full = (origin: string): Record<string, unknown> => ({
  issuer: origin,
  authorization_endpoint: `${origin}/auth`,
  token_endpoint: `${origin}/token`,
  revocation_endpoint: `${origin}/revoke`,
  authorization_response_iss_parameter_supported: true,
});

describe('C-32 discovery', () => {
  it.each([
    ['OpenID Connect', oidcPath],
    ['RFC 8414', '/.well-known/oauth-authorization-server'],
  ])('by %s', async (_name, path) => {
    const origin = await issuerWith(full, path);
    expect(await discoverEndpoints(world, origin, local)).toEqual({
      issuer: origin,
      authorization: `${origin}/auth`,
      token: `${origin}/token`,
      revocation: `${origin}/revoke`,
      issParameterSupported: true,
    });
  });

  it.each([
    ['OpenID Connect', '/tenant/one/.well-known/openid-configuration'],
    ['RFC 8414', '/.well-known/oauth-authorization-server/tenant/one'],
  ])('of an issuer with a path by %s', async (_name, path) => {
    const origin = await issuerWith((own) => ({ issuer: `${own}/tenant/one`, token_endpoint: `${own}/token` }), path);
    expect(await discoverEndpoints(world, `${origin}/tenant/one`, local)).toMatchObject({
      token: `${origin}/token`,
      authorization: null,
      revocation: null,
      issParameterSupported: false,
    });
  });

  it.each([
    ['another issuer', (own: string) => ({ ...full(own), issuer: 'https://other.example' }), 'provider_error'],
    ['its own name with a slash', (own: string) => ({ ...full(own), issuer: `${own}/` }), 'provider_misconfigured'],
    ['no issuer', (own: string) => ({ ...full(own), issuer: undefined }), 'provider_error'],
    ['no token endpoint', (own: string) => ({ issuer: own }), 'provider_misconfigured'],
    ['an endpoint that is no text', (own: string) => ({ ...full(own), token_endpoint: 5 }), 'provider_misconfigured'],
    ['a scheme', (own: string) => ({ ...full(own), token_endpoint: 'file:///etc' }), 'provider_misconfigured'],
    [
      'credentials',
      (own: string) => ({ ...full(own), token_endpoint: 'https://a:b@c.example' }),
      'provider_misconfigured',
    ],
    ['a list', () => [1], 'provider_error'],
    ['too much', (own: string) => ({ ...full(own), x: 'x'.repeat(limits.documentBytesMax) }), 'provider_error'],
  ])('refuses %s', async (_name, document, code) => {
    const origin = await issuerWith(document);
    await expect(discoverEndpoints(world, origin, local)).rejects.toMatchObject({ code });
  });

  it.each([
    [302, 'provider_error'],
    [403, 'provider_error'],
    [429, 'provider_unavailable'],
    [500, 'provider_unavailable'],
    [404, 'provider_error'],
  ])('an answer with %i is %s', async (status, code) => {
    const origin = await issuerWith(full, oidcPath, status);
    await expect(discoverEndpoints(world, origin, local)).rejects.toMatchObject({ code });
  });

  it('requires https unless loopback is allowed', async () => {
    const origin = await issuerWith(full);
    await expect(discoverEndpoints(world, origin)).rejects.toMatchObject({ code: 'provider_misconfigured' });
  });

  it('gives up on an issuer that is silent', async () => {
    const { origin } = await recordingServer(() => {});
    await expect(
      discoverEndpoints(systemWorld({ timeScale: 0.01, allowLoopback: true }), origin, local),
    ).rejects.toMatchObject({
      code: 'provider_unavailable',
    });
  });

  it('reports an issuer that does not answer', async () => {
    const gone = http.createServer();
    const origin = await listen(gone);
    gone.close();
    await once(gone, 'close');
    await expect(discoverEndpoints(world, origin, local)).rejects.toMatchObject({ code: 'provider_unavailable' });
  });
});
