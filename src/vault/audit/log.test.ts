/** Tests that changes and hand-outs reach the audit log, on both databases. */
import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { parseEdges, rootOfEdges } from '../../audit/edges.ts';
import { hashToHex, leafHash, rootOfLeaves } from '../../audit/merkle.ts';
import { type Acting, actingAs } from '../../base/acting.ts';
import { insertCheckpoint } from '../../storage/statements/audit/checkpoints.ts';
import { findHead, insertTiles } from '../../storage/statements/audit/head.ts';
import { listEntries } from '../../storage/statements/audit/log.ts';
import { internalsOf } from '../internals.ts';
import { leafText, onlyShard } from './leaf.ts';
import { sequenceEntries } from './sequence.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench[Symbol.asyncDispose]();
});

const robot: Acting = { actor: { kind: 'key', id: 'key-1', name: 'robot' }, source: 'http 192.0.2.1' };

const everything = { seq: 0, newestFirst: false, limit: 100_000 };

describe.each(databaseKinds)('on %s', (kind) => {
  async function bench(): Promise<Bench> {
    const made = await makeBench({ kind });
    benches.push(made);
    return made;
  }

  it('tells who did what, and counts hand-outs per caller', async () => {
    const b = await bench();
    const { vault } = await b.open();
    const { key } = await actingAs(robot, () => b.connect(vault));
    await actingAs(robot, async () => {
      for (let times = 0; times < 5; times += 1) await vault.getAccessToken(key);
    });
    await vault.getAccessToken(key);
    const context = internalsOf(vault).open();
    await internalsOf(vault).handOuts.write();
    await sequenceEntries(context);
    const entries = await listEntries(context.store.db, { shard: onlyShard, tenant: key.tenant }, everything);
    const told = entries.map(({ action, actor_kind, actor_id, source, count }) => [
      action,
      actor_kind,
      actor_id,
      source,
      count,
    ]);
    expect(told).toContainEqual(['token.handed_out', 'key', 'key-1', 'http 192.0.2.1', 5]);
    expect(told).toContainEqual(['token.handed_out', 'user', expect.any(String), 'library', 1]);
    expect(told.filter(([action]) => action === 'grant.stored')).toHaveLength(1);
    const head = await findHead(context.store.db, onlyShard);
    const all = await listEntries(context.store.db, { shard: onlyShard }, everything);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, at) => at));
    const root = rootOfLeaves(all.map((entry) => leafHash(leafText(entry))));
    expect(hashToHex(rootOfEdges(parseEdges(head?.edges ?? '')) ?? root)).toBe(hashToHex(root));
    expect(head?.size).toBe(all.length);
  });

  it('refuses changes of entries that have their place', async () => {
    const b = await bench();
    const { vault } = await b.open();
    await b.connect(vault);
    const context = internalsOf(vault).open();
    await sequenceEntries(context);
    await context.store.transaction(async (tx) => {
      await insertTiles(tx, [{ shard: onlyShard, level: 0, tile: 0, hashes: new Uint8Array(32) }]);
      await insertCheckpoint(tx, { shard: onlyShard, size: 1, at: 1, note: '' });
    });
    for (const statement of [
      `update grantry_audit_entries set action = 'x'`,
      'delete from grantry_audit_entries',
      'delete from grantry_audit_tiles',
      'delete from grantry_audit_checkpoints',
    ]) {
      await expect(
        context.store.transaction((tx) => sql.raw(statement).execute(tx)),
        statement,
      ).rejects.toThrow();
    }
  });
});
