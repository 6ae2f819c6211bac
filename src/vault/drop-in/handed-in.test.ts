/** Tokens that existing code hands to the service: with little life, without a refresh token, without an app. */
import { describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { isGrantryError } from '../../base/errors.ts';
import { demoClient } from '../../simulator/index.ts';
import type { Vault } from '../types.ts';
import { OAuthTokenService } from './token-service.ts';

const provider = 'zoho';
const key = { tenant: 'acme', provider };
const credentials = { clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' };

async function setTheStage(): Promise<{ bench: Bench; vault: Vault; service: OAuthTokenService }> {
  const bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  return { bench, vault, service: new OAuthTokenService(vault) };
}

function mint(bench: Bench) {
  const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'];
  return bench.simulator.mintTokens({ clientId: demoClient.clientId, user: 'user@us.example', scopes });
}

describe('a grant that was stored through the service', () => {
  it.each([299, 10])('is refreshed with %i s left', async (expiresIn) => {
    const { bench, service } = await setTheStage();
    await using _ = bench;
    const { accessToken, refreshToken } = mint(bench);
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn });
    const fresh = await service.getAccessToken('acme', provider, credentials);
    expect(fresh).not.toBe(accessToken);
    expect(await service.getAccessToken('acme', provider, credentials)).toBe(fresh);
    expect(bench.requests()).toHaveLength(1);
  });

  it('is bound to the app that the credentials name, also while its token is good', async () => {
    const { bench, vault, service } = await setTheStage();
    await using _ = bench;
    await vault.apps.put('one', { provider, ...credentials });
    await vault.apps.put('two', { provider, clientId: '1000.SECOND', clientSecret: 'second-secret' });
    const { accessToken, refreshToken } = mint(bench);
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600 });
    expect(await service.getAccessToken('acme', provider, credentials)).toBe(accessToken);
    expect((await vault.grants.get(key))?.app).toBe('one');
    expect((await vault.rejectAccessToken(key, 1)).generation).toBe(2);
    expect((await vault.health(key)).status).toBe('healthy');
  });

  it('keeps its refresh token if a later consent brings none', async () => {
    const { bench, vault, service } = await setTheStage();
    await using _ = bench;
    const { accessToken, refreshToken } = mint(bench);
    const scopes = 'ZohoCRM.modules.ALL,ZohoCRM.org.READ';
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600, scopes });
    await service.getAccessToken('acme', provider, credentials);
    const later = mint(bench).accessToken;
    await service.storeTokens('acme', provider, { accessToken: later, refreshToken: undefined, expiresIn: 3_600 });
    expect(await service.getAccessToken('acme', provider, credentials)).toBe(later);
    expect(await vault.grants.get(key)).toMatchObject({ generation: 2, app: 'acme-zoho', scopes: scopes.split(',') });
    await bench.jump(3_700_000);
    expect(await service.getAccessToken('acme', provider, credentials)).not.toBe(later);
  });

  it('names prompt=consent if there is no refresh token at all', async () => {
    const { bench, vault, service } = await setTheStage();
    await using _ = bench;
    const { accessToken, refreshToken } = mint(bench);
    const refusal = () =>
      service.storeTokens('acme', provider, { accessToken, expiresIn: 3_600 }).then(
        () => null,
        (error: unknown) => (isGrantryError(error) ? error : expect.unreachable()),
      );
    const wanted = { code: 'authorization_failed', action: expect.stringContaining('prompt=consent') };
    expect(await refusal()).toMatchObject(wanted);
    await vault.apps.put('one', { provider, ...credentials });
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 60 });
    bench.simulator.revoke(refreshToken);
    for (let tries = 0; tries < 3; tries += 1) {
      await service.getAccessToken('acme', provider, credentials).catch(() => null);
      await bench.jump(121_000);
    }
    expect((await vault.grants.get(key))?.state).toBe('reauthorization_required');
    expect(await refusal()).toMatchObject(wanted);
    await service.deleteToken('acme', provider);
    expect(await refusal()).toMatchObject(wanted);
  });

  it('does not come back with an old token after it was deleted', async () => {
    const { bench, service } = await setTheStage();
    await using _ = bench;
    const { accessToken, refreshToken } = mint(bench);
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600 });
    await service.deleteToken('acme', provider, { revoke: false });
    const again = service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600 });
    await expect(again).rejects.toThrow('was disconnected');
    await service.storeTokens('acme', provider, { ...mint(bench), expiresIn: 3_600 });
    expect(await service.hasToken('acme', provider)).toBe(true);
  });
});

it('refuses options that it does not have', async () => {
  const { bench, vault } = await setTheStage();
  await using _ = bench;
  const fallback = { tenant: 'acme', provider };
  // A caller without a type checker.
  expect(() => new OAuthTokenService(vault, { fallbck: fallback } as never)).toThrow(/no option fallbck/);
  expect(() => new OAuthTokenService(vault, { fallback: { ...fallback, varable: 'A' } as never })).toThrow(/varable/);
});
