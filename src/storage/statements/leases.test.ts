import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { insertGrantRow } from '../../../test/support/grant-fixtures.ts';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { systemWorld } from '../../base/system-world.ts';
import type { WriteTx } from '../database.ts';
import { migrate } from '../migrations/migrate.ts';
import { type OpenedStore, openStore } from '../store.ts';
import {
  claimLease,
  type Lease,
  raiseDoubt,
  releaseLease,
  renewLease,
  type SeenGrant,
  saveTokens,
  settleLease,
} from './leases.ts';

const tokens = {
  access_token: 'gry1.new',
  refresh_token: 'gry1.new',
  token_expiry: null,
  token_type: 'Bearer',
  obtained_at: 1,
  refresh_fingerprint: 'new',
  due_at: null,
  at: '2026-01-01T00:00:00.000Z',
  atMs: 1,
};
const verdict = { state: 'suspect', reason: 'refused', retryInMs: 1_000, at: tokens.at } as const;

describe.each(['sqlite', 'postgres'] as const)('leases on %s', (kind) => {
  let store: OpenedStore;
  let drop: () => Promise<void>;

  beforeEach(async () => {
    const scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    store = await openStore({ database: scratch.database, world: systemWorld() });
    drop = scratch.drop;
    await migrate(store, { mode: 'auto' });
  });

  afterEach(async () => {
    await store.close();
    await drop();
  });

  const held = async (values: Parameters<typeof insertGrantRow>[1] = {}) => {
    const lease_until = (await store.nowMs()) + 60_000;
    const row = await insertGrantRow(store, {
      lease_owner: 'us',
      lease_fence: 3,
      generation: 5,
      lease_until,
      ...values,
    });
    // Rows that only one condition tells from the first.
    await insertGrantRow(store, { ...row, id: crypto.randomUUID(), account: 'other' });
    await insertGrantRow(store, { ...row, id: crypto.randomUUID(), client_id: 'neighbour' });
    const lease: Lease = { tenant: row.client_id, grantId: row.id, generation: 5, owner: 'us', fence: 3 };
    return { row, lease };
  };
  const rows = () => store.db.selectFrom('oauth_tokens').selectAll().orderBy('id').execute();

  const strangers: readonly [string, Partial<Lease>][] = [
    ['another tenant', { tenant: 'neighbour' }],
    ['another grant', { grantId: crypto.randomUUID() }],
    ['another fence', { fence: 2 }],
  ];
  const ends: readonly [string, (tx: WriteTx, lease: Lease) => Promise<boolean>, [string, Partial<Lease>][]][] = [
    ['renewing', (tx, lease) => renewLease(tx, lease, 1_000), [['another owner', { owner: 'them' }]]],
    ['saving', (tx, lease) => saveTokens(tx, lease, tokens), [['another generation', { generation: 4 }]]],
    ['settling', (tx, lease) => settleLease(tx, lease, verdict), [['another generation', { generation: 4 }]]],
    ['releasing', releaseLease, []],
  ];

  test.each(ends)('%s changes the one row of its lease', async (_, act, others) => {
    const { row, lease } = await held();
    const before = await rows();
    for (const [, change] of [...strangers, ...others]) {
      expect(await store.transaction((tx) => act(tx, { ...lease, ...change }))).toBe(false);
    }
    expect(await rows()).toEqual(before);
    expect(await store.transaction((tx) => act(tx, lease))).toBe(true);
    const changed = (await rows()).filter((each, index) => JSON.stringify(each) !== JSON.stringify(before[index]));
    expect(changed.map(({ id }) => id)).toEqual([row.id]);
  });

  test.each(ends.slice(1, 3))('%s never brings a disconnected grant back', async (_, act) => {
    const { lease } = await held({ state: 'disconnected' });
    expect(await store.transaction((tx) => act(tx, lease))).toBe(false);
  });

  test('a claim fails when anything that was read has changed, and while another process holds the lease', async () => {
    const { row } = await held({ lease_until: 1, lease_owner: 'them' });
    const claim = (change: Partial<SeenGrant>) =>
      store.transaction((tx) =>
        claimLease(tx, { seen: { ...row, ...change }, owner: 'us', leaseMs: 60_000, overlapMs: null }),
      );
    const stale: Partial<SeenGrant>[] = [
      { client_id: 'neighbour' },
      { id: crypto.randomUUID() },
      { generation: 4 },
      { state: 'suspect' },
      // A process claimed and was refused in between: its row says when to try again.
      { lease_fence: 2 },
    ];
    for (const change of stale) expect(await claim(change)).toBeUndefined();
    expect(await claim({})).toBe(4);
    expect(await claim({ lease_fence: 4 })).toBeUndefined();
  });

  test("a claim waits for the part of a dead owner's lease that is not waived", async () => {
    const lease_until = (await store.nowMs()) + 60_000;
    const { row } = await held({ lease_until, lease_owner: 'dead' });
    const claim = (waived: { owner: string; ms: number }) =>
      store.transaction((tx) => claimLease(tx, { seen: row, owner: 'us', leaseMs: 1, overlapMs: null, waived }));
    expect(await claim({ owner: 'dead', ms: 1_000 })).toBeUndefined();
    expect(await claim({ owner: 'alive', ms: 120_000 })).toBeUndefined();
    expect(await claim({ owner: 'dead', ms: 120_000 })).toBe(4);
  });

  test('a doubt is raised on one grant, and only from the states that are named', async () => {
    const { row } = await held();
    const doubt = (change: object) =>
      store.transaction((tx) =>
        raiseDoubt(tx, {
          tenant: row.client_id,
          grantId: row.id,
          reason: 'answer_lost',
          at: tokens.at,
          from: ['active'],
          ...change,
        }),
      );
    expect(await doubt({ from: ['suspect'] })).toBe(false);
    expect(await doubt({ tenant: 'neighbour' })).toBe(false);
    expect(await doubt({})).toBe(true);
    expect((await rows()).filter(({ state }) => state === 'uncertain')).toHaveLength(1);
  });
});
