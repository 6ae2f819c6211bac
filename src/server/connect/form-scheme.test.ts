import { expect, test } from 'vitest';
import { makeServerBench } from '../../../test/support/server-bench.ts';

test('a button leads to a simulator on http also behind a public URL on https', async () => {
  await using server = await makeServerBench({ server: { publicUrl: 'https://grants.example' } });
  const policy = (await server.call('GET', `/connect/${'a'.repeat(43)}`, { key: null })).headers;
  expect(policy.get('content-security-policy')).toContain("form-action 'self' https: http:");
});

test('without the switch for simulators it leads to https only', async () => {
  await using server = await makeServerBench({
    server: { publicUrl: 'https://grants.example' },
    vault: { unsafeAllowLoopbackProviders: undefined },
  });
  const policy = (await server.call('GET', `/connect/${'a'.repeat(43)}`, { key: null })).headers;
  expect(policy.get('content-security-policy')).toContain("form-action 'self' https:;");
});

test('the readiness probe and the metrics name the switch', async () => {
  await using server = await makeServerBench();
  expect((await server.call('GET', '/readyz', { key: null })).body).toEqual({
    status: 'ready',
    unsafe_switches: ['GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS'],
  });
  expect((await server.call('GET', '/metrics', { key: 'operator' })).text).toContain('grantry_unsafe_switch 1');
});
