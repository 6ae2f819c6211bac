/** The trouble of one grant, app or provider is its own: it holds up no other in the same process. */
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, tidyUp } from '../../test/support/bench.ts';
import { checkKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { noteUse } from '../storage/statements/due.ts';
import { internalsOf } from './internals.ts';

const stuck = { tenant: 'stuck', provider: 'none' };
const strict = { provider: 'strict' };

describe('one locked row', () => {
  it('holds up no refresh, no upkeep and no adoption of others', async () => {
    await using bench = await makeBench({ kind: 'postgres', profiles: ['none', 'strict'] });
    await using row = await lockable(bench);
    const { vault, world } = await bench.open();
    await bench.connect(vault, stuck);
    const { key: a } = await bench.connect(vault, { ...strict, tenant: 'a' });
    const { key: gone, minted } = await bench.connect(vault, { ...strict, tenant: 'gone' });
    world.offline = true;
    await vault.disconnect(gone);
    world.offline = false;
    await bench.jump(600_000);
    await row.lock();
    expect(await codeOf(vault.getAccessToken(stuck))).toBe('storage_unavailable');
    // Its claim is remembered now, and cannot be written.
    expect((await vault.getAccessToken(a)).generation).toBe(2);
    await tidyUp(vault);
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
    const reports = await vault.adopt({ afterRestore: true });
    expect(reports.map(({ tenant, outcome }) => [tenant, outcome])).toEqual([
      ['stuck', 'failed'],
      ['a', 'refreshed'],
    ]);
    await row.unlock();
    expect((await vault.getAccessToken(stuck)).generation).toBe(2);
  });

  it('takes one connection of the pool, however many callers write it', async () => {
    await using bench = await makeBench({ kind: 'postgres', profiles: ['none', 'strict'] });
    await using row = await lockable(bench);
    const { vault } = await bench.open();
    await bench.connect(vault, stuck);
    const { key } = await bench.connect(vault, { ...strict, tenant: 'a' });
    await row.lock();
    const held = Array.from({ length: 30 }, (_, n) => vault.updateMetadata(stuck, { n }).catch(() => {}));
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect((await vault.updateMetadata(key, { n: 1 })).metadata).toEqual({ n: 1 });
    expect(await row.waiting()).toBeLessThanOrEqual(1);
    await row.unlock();
    await Promise.allSettled(held);
  });

  it('does not keep the use of other grants from being noted', async () => {
    await using bench = await makeBench({ kind: 'postgres', profiles: ['none', 'strict'] });
    await using row = await lockable(bench);
    const { vault } = await bench.open();
    await bench.connect(vault, stuck);
    const { key } = await bench.connect(vault, { ...strict, tenant: 'a' });
    await row.lock();
    const { store } = internalsOf(vault).open();
    await store.transaction((tx) => noteUse(tx, [checkKey(stuck), checkKey(key)]));
    expect((await bench.row(key)).used_at).not.toBeNull();
    expect((await bench.row(stuck)).used_at).toBeNull();
  });
});

it('a refused commit of one tenant holds up no refresh of others', async () => {
  await using bench = await makeBench({ kind: 'postgres', profiles: ['none', 'strict'] });
  await using row = await lockable(bench);
  const { vault } = await bench.open();
  await bench.connect(vault, stuck);
  const { key } = await bench.connect(vault, { ...strict, tenant: 'a' });
  await row.refuse();
  expect(await codeOf(vault.getAccessToken(stuck))).toBe('refresh_uncertain');
  expect((await vault.getAccessToken(key)).generation).toBe(2);
});

it('a broken app takes no retry of other apps at its provider', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault, world } = await bench.open();
  const { key: good, minted } = await bench.connect(vault, { provider: 'none', tenant: 'good' });
  await vault.storeTokens(good, { refreshToken: minted.refreshToken, app: 'none' });
  const clientSecret = 'a-wrong-secret';
  await vault.apps.put('broken', { provider: 'none', clientId: 'another-client', clientSecret });
  const bad = Array.from({ length: limits.retryBudgetMax + 10 }, (_, n) => ({ tenant: `bad${n}`, provider: 'none' }));
  for (const key of bad) await vault.storeTokens(key, { refreshToken: `dead-${key.tenant}`, app: 'broken' });
  const askBad = () => Promise.all(bad.map((key) => codeOf(vault.getAccessToken(key))));
  await askBad();
  world.offline = true;
  await codeOf(vault.getAccessToken(good));
  world.offline = false;
  await bench.jump(5_000);
  await askBad();
  expect((await vault.getAccessToken(good)).generation).toBe(2);
});

/** The row of {@link stuck}, held by another program. A transaction that waits for it gives up after a moment. */
async function lockable(bench: Bench) {
  const other = new Client({ connectionString: bench.database });
  await other.connect();
  const name = new URL(bench.database).pathname.slice(1);
  await other.query(`alter database "${name}" set lock_timeout = '1s'`);
  return {
    lock: () => other.query(`begin; select from oauth_tokens where client_id = 'stuck' for update`),
    unlock: () => other.query('rollback'),
    refuse: () =>
      other.query(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
        create constraint trigger refuse after update on oauth_tokens deferrable initially deferred
          for each row when (new.client_id = 'stuck' and new.generation > old.generation) execute function refuse()`),
    waiting: async (): Promise<number> => {
      const { rows } = await other.query<{ count: string }>(
        `select count(*) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`,
        [name],
      );
      return Number(rows[0]?.count);
    },
    [Symbol.asyncDispose]: () => other.end(),
  };
}
