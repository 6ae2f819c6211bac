import { describe, expect, it } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import { revokeDue } from './revocations.ts';

describe.each(databaseKinds)('a token that waits to be revoked, on %s', (kind) => {
  it('is dropped when a grant holds it again', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    expect(await vault.disconnect(key)).toEqual({ revocation: 'queued' });
    world.offline = false;
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, replace: true });
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(bench.simulator.history.events().filter(({ kind: what }) => what === 'revoke')).toEqual([]);
    expect((await vault.getAccessToken(key)).accessToken.length).toBeGreaterThan(10);
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(0);
  });

  it('is dropped when its revocation would end a newer grant', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const refreshToken = { ...bench.simulator.definition('none').refreshToken, revocationEnds: 'account' as const };
    const providers = [{ ...bench.simulator.definition('none'), refreshToken }];
    const { vault, world } = await bench.open({ providers });
    const { key } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    await vault.disconnect(key);
    world.offline = false;
    const { refreshToken: later } = bench.simulator.mintTokens({
      profile: 'none',
      clientId: demoClient.clientId,
      user: 'user@example.com',
      scopes: ['read'],
    });
    await vault.storeTokens({ ...key, account: 'another' }, { refreshToken: later });
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(bench.simulator.history.events().filter(({ kind: what }) => what === 'revoke')).toEqual([]);
  });

  it('prevents the removal of the app that can revoke it', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none' });
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, app: 'none' });
    world.offline = true;
    await vault.disconnect(key);
    await expect(vault.apps.remove('none')).rejects.toThrow('wait to be revoked');
    world.offline = false;
    await bench.jump(600_000);
    await revokeDue(internalsOf(vault).open());
    await vault.apps.remove('none');
  });

  it('is revoked when no grant holds it', async () => {
    await using bench = await makeBench({ kind, profiles: ['none'] });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'none' });
    world.offline = true;
    await vault.disconnect(key);
    world.offline = false;
    await bench.jump(600_000);
    expect(await revokeDue(internalsOf(vault).open())).toBe(1);
    expect(bench.simulator.history.events().filter(({ kind: what }) => what === 'revoke')).toHaveLength(1);
  });
});
