/** A vault behind an egress proxy: the errors that it tells, and its knowledge of requests that were not sent. */
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { isGrantryError } from '../../src/base/errors.ts';
import { parseEgressProxy } from '../../src/base/network/egress-proxy.ts';
import { EgressProxyError, NotSentError, RefusedAddressError } from '../../src/base/network/outbound-errors.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { createClient } from '../../src/client/index.ts';
import { openVault } from '../../src/index.ts';
import { unreached } from '../../src/vault/unreached.ts';
import { makeBench } from '../support/bench.ts';
import { startProxy } from '../support/egress-proxy.ts';
import { listen } from '../support/recording-server.ts';
import { makeUpstream } from '../support/upstream.ts';

const key = { tenant: 'acme', provider: 'far' };

it('a refresh that the proxy refused was not sent: a strict grant stays active, and the next refresh works', async () => {
  let spent = 0;
  const origin = await listen(
    http.createServer((request, response) => {
      request.resume().on('end', () => {
        spent += 1;
        const answer = { access_token: 'fresh', token_type: 'Bearer', expires_in: 3600, refresh_token: 'next' };
        response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
      });
    }),
  );
  // Only the proxy can find this name.
  const far = `http://as.far.example:${new URL(origin).port}`;
  await using bench = await makeBench();
  const open = (egressProxy: string) =>
    openVault({
      database: bench.database,
      home: bench.home,
      rootKey: `file:${bench.home}/root.key`,
      providers: [{ id: 'far', endpoints: { token: `${far}/token` }, api: { hosts: [far] } }],
      unsafeAllowLoopbackProviders: 'the provider listens in this process',
      egressProxy,
    });
  {
    await using refusing = await startProxy({ answer: 407 });
    await using vault = await open(refusing.url.replace('//', '//me:canary-77e1@'));
    await vault.apps.put('far', { provider: 'far', clientId: 'client', clientSecret: 'a-client-secret' });
    await vault.storeTokens(key, { app: 'far', refreshToken: 'first' });
    const error: unknown = await vault.getAccessToken(key).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'provider_unavailable', retryable: false });
    expect(String(error)).toContain(`The egress proxy ${refusing.url} refused the connection (status 407)`);
    expect(String(error)).not.toContain('canary');
    expect(await vault.grants.get(key)).toMatchObject({ state: 'active' });
  }
  await using proxy = await startProxy();
  await using vault = await open(proxy.url);
  await expect
    .poll(() => vault.getAccessToken(key).then((token) => token.accessToken, String), { timeout: 60_000 })
    .toBe('fresh');
  expect([spent, proxy.asked.length]).toEqual([1, 1]);
});

it('the option goes with no world, which has a network of its own', async () => {
  const options = { world: systemWorld(), egressProxy: 'http://127.0.0.1:1' };
  await expect(openVault(options)).rejects.toMatchObject({ code: 'invalid_request' });
});

it('a client is told as well whether waiting helps', async () => {
  for (const [answer, retryable] of [
    [403, false],
    [503, true],
  ] as const) {
    await using proxy = await startProxy({ answer });
    const world = systemWorld({ allowLoopback: true, proxy: parseEgressProxy(proxy.url, '', 'x') });
    await using upstream = await makeUpstream({ api: () => {}, world });
    const client = createClient({ url: upstream.url, apiKey: upstream.key });
    const call = client.fetch({ tenant: 'acme', provider: 'plain' }, '/x');
    await expect(call).rejects.toMatchObject({ code: 'provider_unavailable', retryable });
  }
});

describe('a request that was not sent', () => {
  const certificate = Object.assign(new Error('x'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  const unknown = Object.assign(new Error('x'), { code: 'ENOTFOUND' });
  it.each([
    [new RefusedAddressError(), 'provider_misconfigured', false, 'no public address'],
    [new EgressProxyError('http://p', { status: 502 }), 'provider_unavailable', true, 'status 502'],
    [new EgressProxyError('http://p', { status: 407 }), 'provider_unavailable', false, 'status 407'],
    [new EgressProxyError('http://p', { code: 'ECONNREFUSED' }), 'provider_unavailable', true, 'ECONNREFUSED'],
    [new NotSentError('x', { cause: certificate }), 'provider_unavailable', true, 'its issuer is not trusted here'],
    [new NotSentError('x', { cause: unknown }), 'provider_unavailable', true, 'The host is silent (ENOTFOUND).'],
    [new Error('x'), 'provider_unavailable', true, 'The host is silent.'],
  ])('tells its cause: %s', (error, code, retryable, words) => {
    const told = unreached(error, 'The host is silent.', 1_000);
    expect(isGrantryError(told)).toBe(true);
    expect(told).toMatchObject({ code, retryable, message: expect.stringContaining(words) });
  });
});
