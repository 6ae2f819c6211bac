import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, settled, until } from '../../test/support/bench.ts';
import { Wire } from '../../test/support/wire.ts';
import type { GrantKey } from '../base/ids.ts';
import { revokeDue } from './grant/revocations.ts';
import { internalsOf } from './internals.ts';
import type { Vault } from './types.ts';

describe.each(databaseKinds)('a grant that is left alive at its provider, on %s', (kind) => {
  it('is not revoked by an answer that was under way', async () => {
    await using bench = await makeBench({ kind });
    const { vault: one } = await bench.open();
    const { vault: other } = await bench.open();
    const { key, minted } = await bench.connect(one);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = codeOf(one.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    expect(await other.disconnect(key, { revoke: false })).toEqual({ revocation: 'skipped' });
    await bench.jump(1_100);
    expect(await refreshing).toBe('grant_not_found');
    expect(bench.simulator.history.events().filter((event) => event.kind === 'revoke')).toEqual([]);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    expect((await bench.row(key)).refresh_token).toBeNull();
  });
});

it('a disconnect goes on when the definition of the provider was altered', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const [definition] = bench.providers;
  const { vault } = await bench.open({ providers: [] });
  await vault.providers.put({ ...definition, id: 'mine' });
  const { key, minted } = await bench.connect(vault, { provider: 'mine', profile: 'strict' });
  const altered = JSON.stringify({ ...definition, id: 'mine', name: 'altered' });
  await bench.judge.db.updateTable('grantry_providers').set({ definition: altered }).execute();
  const { vault: other } = await bench.open({ providers: [] });
  expect(await other.disconnect(key)).toEqual({ revocation: 'queued' });
  expect((await bench.row(key)).refresh_token).toBeNull();
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  // The queue gives up in the end, and shreds what it cannot revoke.
  await bench.judge.db.updateTable('grantry_revocations').set({ deadline_at: 0, next_at: 0 }).execute();
  await revokeDue(internalsOf(other).open());
  expect(await bench.judge.db.selectFrom('grantry_revocations').selectAll().execute()).toEqual([]);
});

it('a disconnect by another process is noticed after the clock was set back', async () => {
  await using bench = await makeBench();
  const a = await bench.open();
  const b = await bench.open();
  const { key } = await bench.connect(a.vault, { expiresIn: 3_600 });
  await a.vault.getAccessToken(key);
  const pass = async (looks: number) => {
    for (let look = 0; look < looks; look += 1) {
      await bench.jump(500);
      await settled();
    }
  };
  await pass(6);
  for (const { world } of [a, b]) world.skewMs = -60_000;
  await pass(6);
  await a.vault.getAccessToken(key);
  await b.vault.disconnect(key);
  await pass(10);
  expect(await codeOf(a.vault.getAccessToken(key))).toBe('grant_not_found');
});

describe('a disconnect whose commit is slow', () => {
  it('ends the hand-out of other processes when it arrives, on postgres', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    const [a, b] = [await bench.open(), await bench.open()];
    const { key } = await bench.connect(a.vault, { expiresIn: 3_600 });
    await using gate = await commitGate(bench.database);
    await isHandedOutFromMemory(b.vault, key);
    const leaving = a.vault.disconnect(key, { revoke: false });
    await gate.isReached();
    // Longer than any window of a fixed length; this process has stopped meanwhile.
    await bench.pass(20_000);
    expect(await codeOf(a.vault.getAccessToken(key))).toBe('grant_not_found');
    expect((await b.vault.getAccessToken(key)).generation).toBe(1);
    await gate.open();
    expect(await leaving).toEqual({ revocation: 'skipped' });
    await bench.pass(4_500);
    expect(await codeOf(b.vault.getAccessToken(key))).toBe('grant_not_found');
  });

  it('ends the hand-out of other processes when it arrives, on sqlite', async () => {
    await using bench = await makeBench();
    const [a, b] = [await bench.open(), await bench.open()];
    const { key } = await bench.connect(a.vault, { expiresIn: 3_600 });
    await isHandedOutFromMemory(b.vault, key);
    const writer = new DatabaseSync(bench.database.slice('sqlite:'.length));
    writer.exec(`begin immediate; update oauth_tokens set state = 'disconnected', access_token = null,
      refresh_token = null, refresh_fingerprint = null, changed_at = (select max(changed_at) + 1 from oauth_tokens)`);
    await bench.pass(20_000);
    expect((await b.vault.getAccessToken(key)).generation).toBe(1);
    writer.exec('commit');
    writer.close();
    await bench.pass(4_500);
    expect(await codeOf(b.vault.getAccessToken(key))).toBe('grant_not_found');
  });

  it('is found out about when the connection breaks before the answer', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    await using wire = await Wire.to(bench.database);
    const a = await bench.open({ database: wire.database });
    const b = await bench.open();
    const { key } = await bench.connect(b.vault, { expiresIn: 3_600 });
    await using gate = await commitGate(bench.database);
    await isHandedOutFromMemory(a.vault, key);
    const leaving = a.vault.disconnect(key, { revoke: false });
    await gate.isReached();
    wire.cut();
    wire.mend();
    await bench.jump(1_000);
    // No process knows yet what became of it. This one hands out nothing.
    expect(await codeOf(a.vault.getAccessToken(key))).toBe('grant_not_found');
    await gate.open();
    expect(await leaving).toEqual({ revocation: 'skipped' });
    expect((await bench.row(key)).state).toBe('disconnected');
    expect((await bench.events(key)).filter((type) => type === 'disconnected')).toHaveLength(1);
  });

  it('is said to be unknown after the wait of a caller, and completed all the same', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    await using wire = await Wire.to(bench.database);
    const a = await bench.open({ database: wire.database });
    const { key, minted } = await bench.connect(a.vault, { expiresIn: 3_600 });
    await using gate = await commitGate(bench.database);
    const leaving = codeOf(a.vault.disconnect(key));
    await gate.isReached();
    wire.cut();
    await bench.pass(31_000);
    expect(await leaving).toBe('storage_unavailable');
    wire.mend();
    await gate.open();
    await bench.pass(1_000);
    await until(() => !bench.simulator.isAlive(minted.refreshToken), 'the revocation');
    expect((await bench.row(key)).state).toBe('disconnected');
  });

  it('is undone and told of when the database refuses it', async () => {
    await using bench = await makeBench({ kind: 'postgres' });
    const a = await bench.open();
    const { key } = await bench.connect(a.vault, { expiresIn: 3_600 });
    await query(
      bench.database,
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
      create constraint trigger refuse after update on oauth_tokens deferrable initially deferred
        for each row when (new.state = 'disconnected') execute function refuse()`,
    );
    expect(await codeOf(a.vault.disconnect(key, { revoke: false }))).toBe('internal');
    expect((await a.vault.getAccessToken(key)).generation).toBe(1);
  });
});

/** Reads until the token comes from memory, where only the change feed ends it. */
async function isHandedOutFromMemory(vault: Vault, key: GrantKey): Promise<void> {
  const { handOut } = internalsOf(vault);
  const before = handOut.answers.memory;
  await until(async () => {
    await vault.getAccessToken(key);
    return handOut.answers.memory > before;
  }, 'a hand-out from memory');
}

/** Makes the commit of a disconnect wait until the gate opens, as for a synchronous standby that is away. */
async function commitGate(database: string) {
  const admin = new Client({ connectionString: database });
  await admin.connect();
  await admin.query(`
    create function wait_at_gate() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(7); return null; end $$;
    create constraint trigger gate after update on oauth_tokens deferrable initially deferred
      for each row when (new.state = 'disconnected') execute function wait_at_gate();
    select pg_advisory_lock(7)`);
  return {
    isReached: () =>
      until(async () => {
        const { rows } = await admin.query(`select from pg_locks where locktype = 'advisory' and not granted`);
        return rows.length > 0;
      }, 'the commit'),
    open: () => admin.query('select pg_advisory_unlock(7)'),
    [Symbol.asyncDispose]: () => admin.end(),
  };
}

async function query(database: string, text: string): Promise<void> {
  const client = new Client({ connectionString: database });
  await client.connect();
  await client.query(text);
  await client.end();
}
