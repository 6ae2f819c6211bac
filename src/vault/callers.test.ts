import { describe, expect, it } from 'vitest';
import { makeBench } from '../../test/support/bench.ts';
import { OAuthTokenService } from './drop-in/token-service.ts';
import type { Vault } from './types.ts';

const key = { tenant: 'nobody', provider: 'strict' };
const there = { ...key, tenant: 'acme' };

/** Calls that fail, on a vault with a refused app. */
const calls: Readonly<Record<string, (vault: Vault) => Promise<unknown>>> = {
  getAccessToken: (vault) => vault.getAccessToken(there),
  rejectAccessToken: (vault) => vault.rejectAccessToken(there, 1),
  fetch: (vault) => vault.fetch(there, '/me'),
  'tokenSource.get': (vault) => vault.tokenSource(there).get(),
  health: (vault) => vault.health(key),
  disconnect: (vault) => vault.disconnect(key),
  updateMetadata: (vault) => vault.updateMetadata(key, { a: 'b' }),
  storeTokens: (vault) => vault.storeTokens(key, { app: 'unknown', refreshToken: 'r' }),
  authorize: (vault) => vault.authorize({ ...key, provider: 'unknown', redirectUri: 'http://127.0.0.1/cb' }),
  completeAuthorization: (vault) => vault.completeAuthorization('http://127.0.0.1/cb?state=a&code=b'),
  'apps.slots': (vault) => vault.apps.slots('unknown'),
  'grants.list': (vault) => vault.grants.list({ limit: -1 }),
  'providers.put': (vault) => vault.providers.put({ id: 'google' }),
  'keys.update': (vault) => vault.keys.update('unknown', { tenants: [] }),
  OAuthTokenService: (vault) =>
    new OAuthTokenService(vault).getAccessToken(there.tenant, 'strict', { clientId: 'c', clientSecret: 'other' }),
};

async function traceOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return error instanceof Error ? (error.stack ?? '') : '';
  }
  return expect.unreachable('it did not fail');
}

describe('the trace of an error names the line that called', () => {
  it.each(Object.entries(calls))('%s', async (_name, call) => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    await bench.connect(vault);
    const refused = { kind: 'error', error: 'invalid_client' } as const;
    bench.simulator.faults.add({ endpoint: 'token', times: 9, effect: refused });
    const theCaller = async (): Promise<void> => {
      await call(vault);
    };
    expect(await traceOf(theCaller)).toContain('theCaller');
  });
});
