/** The end of a lease writes more than the state: the scopes, the doubt, the verdict, the overlap and the lease itself. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { insertGrantRow } from '../../../test/support/grant-fixtures.ts';
import { scratchSqlite } from '../../../test/support/postgres.ts';
import { systemWorld } from '../../base/system-world.ts';
import { migrate } from '../migrations/migrate.ts';
import { type OpenedStore, openStore } from '../store.ts';
import { type GrantVerdict, saveTokens, settleLease } from './leases.ts';

const at = '2026-01-01T00:00:00.000Z';
const tokens = {
  access_token: 'gry1.new',
  refresh_token: 'gry1.new',
  token_expiry: null,
  token_type: 'Bearer',
  obtained_at: 1,
  refresh_fingerprint: 'new',
  due_at: null,
  at,
  atMs: 1,
};

let store: OpenedStore;
let drop: () => Promise<void>;

beforeEach(async () => {
  const scratch = scratchSqlite();
  store = await openStore({ database: scratch.database, world: systemWorld() });
  drop = scratch.drop;
  await migrate(store, { mode: 'auto' });
});

afterEach(async () => {
  await store.close();
  await drop();
});

/** A grant whose lease this process holds. */
async function held(values: Parameters<typeof insertGrantRow>[1] = {}) {
  const lease_until = (await store.nowMs()) + 60_000;
  const lease = { lease_owner: 'us', lease_fence: 3, generation: 5, lease_until };
  const { client_id: tenant, id: grantId } = await insertGrantRow(store, { ...lease, ...values });
  return { tenant, grantId, generation: 5, owner: 'us', fence: 3 };
}

const row = () => store.db.selectFrom('oauth_tokens').selectAll().executeTakeFirstOrThrow();

async function settle(verdict: Partial<GrantVerdict>, values: Parameters<typeof insertGrantRow>[1] = {}) {
  const lease = await held(values);
  const whole = { state: 'active', reason: null, retryInMs: 1_000, at, ...verdict } as const;
  expect(await store.transaction((tx) => settleLease(tx, lease, whole))).toBe(true);
  return row();
}

test.each([
  [undefined, 'read,write'],
  ['read', 'read'],
])('the scopes %s of an answer leave %s', async (scopes, left) => {
  const lease = await held({ scopes: 'read,write' });
  expect(await store.transaction((tx) => saveTokens(tx, lease, { ...tokens, scopes }))).toBe(true);
  expect((await row()).scopes).toBe(left);
});

test.each(['uncertain', 'suspect'] as const)(
  'a first doubt %s begins now, and a later one when it began',
  async (state) => {
    const before = await store.nowMs();
    expect((await settle({ state })).doubt_since).toBeGreaterThanOrEqual(before);
    await store.db.deleteFrom('oauth_tokens').execute();
    expect((await settle({ state }, { doubt_since: 7 })).doubt_since).toBe(7);
  },
);

test.each(['active', 'reauthorization_required'] as const)(
  'the state %s ends a doubt and an overlap',
  async (state) => {
    const doubts = { state: 'uncertain', doubt_since: 7, overlap_until: 9 } as const;
    expect(await settle({ state }, doubts)).toMatchObject({ doubt_since: null, overlap_until: null });
  },
);

test('a doubt leaves the overlap, and the time of an earlier verdict', async () => {
  const earlier = { condemned_at: 8, overlap_until: 9 };
  expect(await settle({ state: 'uncertain' }, earlier)).toMatchObject(earlier);
});

test('a verdict has a time as long as it stands, and a grant that works has none', async () => {
  const before = await store.nowMs();
  const condemned = { state: 'reauthorization_required', condemned: true } as const;
  expect((await settle(condemned)).condemned_at).toBeGreaterThanOrEqual(before);
  await store.db.deleteFrom('oauth_tokens').execute();
  expect((await settle(condemned, { condemned_at: 8 })).condemned_at).toBe(8);
  await store.db.deleteFrom('oauth_tokens').execute();
  expect((await settle({ state: 'active' }, { condemned_at: 8 })).condemned_at).toBeNull();
});

test.each([
  [true, 'us'],
  [false, null],
])('with keepLease %s the holder afterwards is %s', async (keepLease, holder) => {
  const kept = await settle({ state: 'uncertain', keepLease });
  expect([kept.lease_owner, kept.lease_until === null]).toEqual([holder, holder === null]);
});
