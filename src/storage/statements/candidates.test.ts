/** Each statement on candidates finds or changes what its conditions name, among rows that only one of them tells apart. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { insertGrantRow } from '../../../test/support/grant-fixtures.ts';
import { scratchSqlite } from '../../../test/support/postgres.ts';
import { systemWorld } from '../../base/system-world.ts';
import type { WriteTx } from '../database.ts';
import { migrate } from '../migrations/migrate.ts';
import { type OpenedStore, openStore } from '../store.ts';
import {
  type CandidateRow,
  deleteCandidates,
  findCandidate,
  grantsWithCandidate,
  insertCandidate,
  listCandidates,
  listCandidatesOfGrant,
  listSuccessors,
  newestCandidate,
  rejectCandidate,
  reopenCandidates,
  replaceCandidateSeal,
  retireCandidate,
  supersedeCandidates,
} from './candidates.ts';

const grantId = crypto.randomUUID();
/** A candidate's id may occur in two tenants. */
const id = crypto.randomUUID();
const here = { tenant: 'acme', grantId };
const places = [
  { tenant: 'acme', grant_id: grantId },
  { tenant: 'acme', grant_id: crypto.randomUUID() },
  { tenant: 'neighbour', grant_id: crypto.randomUUID() },
] as const;

let store: OpenedStore;
let drop: () => Promise<void>;

beforeEach(async () => {
  const scratch = scratchSqlite();
  store = await openStore({ database: scratch.database, world: systemWorld() });
  drop = scratch.drop;
  await migrate(store, { mode: 'auto' });
  for (const { tenant: client_id, grant_id } of places) {
    await insertGrantRow(store, { client_id, id: grant_id, account: grant_id });
  }
});

afterEach(async () => {
  await store.close();
  await drop();
});

/** Adds a candidate to the grant of each place; only the first has `id`, or its namesake in the other tenant. */
async function add(values: Partial<CandidateRow> = {}, at: readonly (typeof places)[number][] = places): Promise<void> {
  for (const place of at) {
    const row = {
      id: crypto.randomUUID(),
      fence: 3,
      generation: 5,
      tokens: 'gry1.x',
      token_fingerprint: crypto.randomUUID(),
      state: 'untested' as const,
      received_at: 1_000,
      retired_at: null,
      ...place,
      ...values,
      ...(values.id !== undefined && place === places[1] ? { id: crypto.randomUUID() } : {}),
    };
    await store.db.insertInto('grantry_candidates').values(row).execute();
  }
}

const rows = () => store.db.selectFrom('grantry_candidates').selectAll().orderBy('received_at').execute();

/** Returns the rows that a change has changed or deleted, as they were. */
async function changedBy<Result>(act: (tx: WriteTx) => Promise<Result>): Promise<CandidateRow[]> {
  const before = await rows();
  await store.transaction(act);
  const after = new Set((await rows()).map((row) => JSON.stringify(row)));
  return before.filter((row) => !after.has(JSON.stringify(row)));
}

describe('the newest candidate of a grant', () => {
  test.each([
    ['of another grant', { received_at: 2_000 }, places[1]],
    ['a rejected one', { received_at: 2_000, state: 'dead' }, places[0]],
    ['one from before the authorization', { received_at: 2_000, generation: 4 }, places[0]],
    ['an older one', { received_at: 999 }, places[0]],
    ['one of an older claim', { fence: 2 }, places[0]],
    ['the one that is left out', { id, received_at: 2_000 }, places[0]],
  ] as const)('is not %s', async (_, values, place) => {
    await add({ token_fingerprint: 'wanted' }, places.slice(0, 1));
    await add(values, [place]);
    const found = await newestCandidate(store.db, { ...here, authorizedGeneration: 5, exceptId: id });
    expect(found?.token_fingerprint).toBe('wanted');
    await store.transaction((tx) => deleteCandidates(tx, here));
    if (place !== places[0]) return;
    expect(await newestCandidate(store.db, { ...here, authorizedGeneration: 5, exceptId: null })).toBeUndefined();
  });

  test.each([
    ['of another grant', { received_at: 2_000 }, places[1]],
    ['a replaced one', { received_at: 2_000, state: 'superseded' }, places[0]],
    ['one for an older token', { received_at: 2_000, generation: 4 }, places[0]],
  ] as const)('that came for a generation is not %s, but may be a rejected one', async (_, values, place) => {
    await add({ token_fingerprint: 'wanted', state: 'dead' }, places.slice(0, 1));
    await add(values, [place]);
    const found = await listSuccessors(store.db, { ...here, generation: 5 });
    expect(found.map((each) => each.token_fingerprint)).toEqual(['wanted']);
  });
});

test('one grant is asked for its candidates, in any state', async () => {
  await add({ token_fingerprint: 'same', state: 'dead' });
  const wanted = { ...here, fingerprint: 'same' };
  const grant = { client_id: 'acme', id: grantId };
  expect(await findCandidate(store.db, wanted)).toMatchObject({ tenant: 'acme', grant_id: grantId });
  expect(await findCandidate(store.db, { ...wanted, fingerprint: 'other' })).toBeUndefined();
  expect(await findCandidate(store.db, { ...wanted, grantId: id })).toBeUndefined();
  expect(await listCandidates(store.db, grant)).toHaveLength(1);
  expect(await listCandidatesOfGrant(store.db, grant)).toHaveLength(1);
});

test('a token is looked for in the untested candidates of living grants', async () => {
  await add({ token_fingerprint: 'same' });
  await add({ token_fingerprint: 'else' });
  expect(await grantsWithCandidate(store.db, 'same')).toHaveLength(3);
  await store.db
    .updateTable('oauth_tokens')
    .set({ state: 'disconnected' })
    .where('client_id', '=', 'neighbour')
    .execute();
  await store.db
    .updateTable('grantry_candidates')
    .set({ state: 'dead' })
    .where('grant_id', '=', places[1].grant_id)
    .execute();
  expect(await grantsWithCandidate(store.db, 'same')).toMatchObject([{ client_id: 'acme', id: grantId }]);
});

test('a stranger who knows the ids of a grant finds and changes nothing', async () => {
  await add({ id, token_fingerprint: 'same', generation: 4 }, places.slice(0, 1));
  await add({ state: 'dead', generation: 5 }, places.slice(0, 1));
  const stranger = { tenant: 'neighbour', grantId };
  expect(await findCandidate(store.db, { ...stranger, fingerprint: 'same' })).toBeUndefined();
  expect(await newestCandidate(store.db, { ...stranger, authorizedGeneration: 1 })).toBeUndefined();
  expect(await listSuccessors(store.db, { ...stranger, generation: 1 })).toEqual([]);
  expect(await listCandidates(store.db, { client_id: 'neighbour', id: grantId })).toEqual([]);
  expect(await listCandidatesOfGrant(store.db, { client_id: 'neighbour', id: grantId })).toEqual([]);
  const ids = (await rows()).map((row) => row.id);
  const acts: ((tx: WriteTx) => Promise<unknown>)[] = [
    (tx) => reopenCandidates(tx, { ...stranger, authorizedGeneration: 1, ids }),
    (tx) => supersedeCandidates(tx, { ...stranger, untilGeneration: 9 }),
    (tx) => deleteCandidates(tx, stranger),
    (tx) => deleteCandidates(tx, { ...stranger, belowGeneration: 9 }),
  ];
  for (const act of acts) expect(await changedBy(act)).toEqual([]);
});

test('a token is kept once', async () => {
  const row = { id, tenant: 'acme', grant_id: grantId, fence: 1, generation: 1, tokens: 'gry1.x' };
  const candidate = { ...row, token_fingerprint: 'same', state: 'untested' as const };
  expect(await store.transaction((tx) => insertCandidate(tx, candidate))).toBe(true);
  const again = { ...candidate, id: crypto.randomUUID() };
  expect(await store.transaction((tx) => insertCandidate(tx, again))).toBe(false);
});

const one = { tenant: 'acme', id };
const closing: readonly [string, (tx: WriteTx) => Promise<void>, Partial<CandidateRow>][] = [
  ['rejecting', (tx) => rejectCandidate(tx, one), { state: 'dead' }],
  ['retiring', (tx) => retireCandidate(tx, one), { state: 'superseded' }],
  ['sealing anew', (tx) => replaceCandidateSeal(tx, { ...one, tokens: 'gry1.y' }), { tokens: 'gry1.y' }],
];

test.each(closing)('%s changes one candidate', async (_, act, outcome) => {
  await add({ id });
  await add();
  expect(await changedBy(act)).toMatchObject([one]);
  const changed = (await rows()).filter((row) => row.tenant === 'acme' && row.id === id);
  expect(changed).toMatchObject([outcome]);
});

test('a grant opens its rejected candidates that are named, and not from before its authorization', async () => {
  await add({ id, state: 'dead' });
  await add({ state: 'dead' });
  const old = crypto.randomUUID();
  await add({ id: old, state: 'dead', generation: 4 }, places.slice(0, 1));
  const replaced = crypto.randomUUID();
  await add({ id: replaced, state: 'superseded' }, places.slice(0, 1));
  const elsewhere = (await rows()).find((row) => row.grant_id === places[1].grant_id)?.id ?? '';
  const ids = [id, old, replaced, elsewhere];
  const act = (tx: WriteTx) => reopenCandidates(tx, { ...here, authorizedGeneration: 5, ids });
  expect(await changedBy(act)).toMatchObject([one]);
});

test('a saved token supersedes the untested candidates of its grant up to its generation', async () => {
  await add({ id });
  await add({ state: 'dead' }, places.slice(0, 1));
  await add({ generation: 6 }, places.slice(0, 1));
  expect(await changedBy((tx) => supersedeCandidates(tx, { ...here, untilGeneration: 5 }))).toMatchObject([one]);
});

test('shredding deletes the candidates of one grant, or only those of earlier generations', async () => {
  await add({ id, generation: 4 });
  await add();
  expect(await changedBy((tx) => deleteCandidates(tx, { ...here, belowGeneration: 5 }))).toMatchObject([one]);
  const rest = await changedBy((tx) => deleteCandidates(tx, here));
  expect(rest).toMatchObject([{ tenant: 'acme', grant_id: grantId, generation: 5 }]);
});
