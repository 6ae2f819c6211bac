/** Each statement on attempts finds or changes what its conditions name, and refusals are counted as a verdict needs them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { insertGrantRow } from '../../../test/support/grant-fixtures.ts';
import { scratchSqlite } from '../../../test/support/postgres.ts';
import { limits } from '../../base/limits.ts';
import { systemWorld } from '../../base/system-world.ts';
import type { WriteTx } from '../database.ts';
import { migrate } from '../migrations/migrate.ts';
import { type OpenedStore, openStore } from '../store.ts';
import {
  type AttemptRow,
  abandonAttempts,
  countRefusals,
  findAttempt,
  finishAttempt,
  listAttempts,
  mayStillAnswer,
  pruneAttempts,
} from './attempts.ts';

const grantId = crypto.randomUUID();
const otherGrant = crypto.randomUUID();
/** An attempt's id may occur in two tenants. */
const id = crypto.randomUUID();
const here = { tenant: 'acme', grantId, generation: 5 };
const stranger = { ...here, tenant: 'neighbour' };

let store: OpenedStore;
let drop: () => Promise<void>;

beforeEach(async () => {
  const scratch = scratchSqlite();
  store = await openStore({ database: scratch.database, world: systemWorld() });
  drop = scratch.drop;
  await migrate(store, { mode: 'auto' });
  await insertGrantRow(store, { id: grantId });
  await insertGrantRow(store, { id: otherGrant, account: 'other' });
});

afterEach(async () => {
  await store.close();
  await drop();
});

async function add(values: Partial<AttemptRow> = {}): Promise<string> {
  const row = attemptRow(values);
  await store.db.insertInto('grantry_attempts').values(row).execute();
  return row.id;
}

function attemptRow(values: Partial<AttemptRow>): AttemptRow {
  return {
    tenant: 'acme',
    id: crypto.randomUUID(),
    grant_id: grantId,
    fence: 3,
    generation: 5,
    owner: 'us',
    token_fingerprint: 'x',
    candidate_id: null,
    started_at: 1_000,
    finished_at: null,
    detail: null,
    outcome: 'open',
    ...values,
  };
}

const rows = () => store.db.selectFrom('grantry_attempts').selectAll().orderBy('fence').execute();

/** Returns the ids of the rows that a change has changed or deleted. */
async function changedBy<Result>(act: (tx: WriteTx) => Promise<Result>): Promise<string[]> {
  const before = await rows();
  await store.transaction(act);
  const after = new Set((await rows()).map((row) => JSON.stringify(row)));
  return before.filter((row) => !after.has(JSON.stringify(row))).map((row) => row.id);
}

test('an outcome is written on one attempt, and a late one replaces only the unknown', async () => {
  await add({ id });
  await add();
  const lose = (tx: WriteTx) => finishAttempt(tx, { tenant: 'acme', id, outcome: 'unknown', detail: null });
  expect(await changedBy((tx) => finishAttempt(tx, { ...stranger, id, outcome: 'saved', detail: null }))).toEqual([]);
  expect(await changedBy(lose)).toEqual([id]);
  expect(await changedBy((tx) => finishAttempt(tx, { ...here, id, outcome: 'saved', detail: null }))).toEqual([id]);
  expect(await changedBy(lose)).toEqual([]);
});

test('a claim abandons the other open attempts on its generation', async () => {
  const left = await add();
  await add({ id });
  await add({ grant_id: otherGrant });
  await add({ generation: 4 });
  await add({ outcome: 'refused' });
  expect(await changedBy((tx) => abandonAttempts(tx, { ...stranger, exceptId: id }))).toEqual([]);
  expect(await changedBy((tx) => abandonAttempts(tx, { ...here, exceptId: id }))).toEqual([left]);
  const [abandoned] = (await rows()).filter((row) => row.id === left);
  // Its holder may be slow: an attempt that ended as unknown by itself brings no answer any more.
  expect(abandoned).toMatchObject({ outcome: 'unknown' });
  if (abandoned === undefined) return;
  expect(mayStillAnswer(abandoned)).toBe(true);
  expect(mayStillAnswer({ ...abandoned, detail: 'the answer was lost' })).toBe(false);
  expect(mayStillAnswer({ ...abandoned, outcome: 'failed' })).toBe(false);
});

test('attempts of a generation are listed, and older ones that may have spent the token', async () => {
  await add({ fence: 1, outcome: 'failed' });
  const spent = await add({ fence: 2, outcome: 'unknown' });
  await add({ fence: 3, outcome: 'failed' });
  for (let fence = 4; fence < 4 + limits.attemptsListedMax; fence += 1) await add({ fence, outcome: 'parked' });
  await add({ fence: 900, generation: 4, outcome: 'unknown' });
  await add({ fence: 901, grant_id: otherGrant, outcome: 'unknown' });
  const listed = await listAttempts(store.db, here);
  expect(listed).toHaveLength(limits.attemptsListedMax + 1);
  expect(listed.at(-1)?.id).toBe(spent);
  expect(listed[0]?.fence).toBe(3 + limits.attemptsListedMax);
  expect(await listAttempts(store.db, stranger)).toEqual([]);
});

test('an attempt is found by its claim', async () => {
  const wanted = await add({ fence: 7 });
  await add({ fence: 6 });
  await add({ fence: 7, grant_id: otherGrant });
  expect((await findAttempt(store.db, { ...here, fence: 7 }))?.id).toBe(wanted);
  expect((await findAttempt(store.db, { ...here, grantId: otherGrant, fence: 6 }))?.id).toBeUndefined();
  expect((await findAttempt(store.db, { ...stranger, fence: 7 }))?.id).toBeUndefined();
});

test('finished attempts on earlier generations are forgotten', async () => {
  const old = await add({ generation: 4, outcome: 'saved' });
  await add({ generation: 4 });
  await add({ generation: 5, outcome: 'saved' });
  await add({ generation: 4, outcome: 'saved', grant_id: otherGrant });
  expect(await changedBy((tx) => pruneAttempts(tx, { ...stranger, belowGeneration: 5 }))).toEqual([]);
  expect(await changedBy((tx) => pruneAttempts(tx, { ...here, belowGeneration: 5 }))).toEqual([old]);
});

describe('refusals of a provider', () => {
  const windowMs = 300_000;
  const count = (provider = 'zoho_crm') =>
    countRefusals(store.db, provider, { windowMs, enough: limits.verdictRefusalsMin, share: 0.2 });

  /** Adds grants with an attempt each. */
  async function grants(many: number, outcome: AttemptRow['outcome'], provider = 'zoho_crm'): Promise<void> {
    const started_at = await store.nowMs();
    for (let index = 0; index < many; index += 1) {
      const row = await insertGrantRow(store, { provider, account: crypto.randomUUID() });
      await add({ grant_id: row.id, outcome, started_at });
    }
  }

  test('are counted with those that were served', async () => {
    await grants(5, 'refused');
    await grants(3, 'saved');
    await grants(2, 'refused', 'google');
    await grants(9, 'failed');
    expect(await count()).toEqual({ tried: 8, refused: 5, failed: 0 });
    expect(await count('google')).toEqual({ tried: 2, refused: 2, failed: 0 });
  });

  test('are counted until the served ones are more than the share', async () => {
    await grants(5, 'refused');
    await grants(40, 'saved');
    expect((await count()).tried).toBe(26);
  });

  test('that are few count beside failures of one kind, of which enough end the count', async () => {
    await grants(4, 'refused');
    await grants(1, 'parked');
    await grants(4, 'failed');
    expect(await count()).toEqual({ tried: 4, refused: 4, failed: 4 });
    await grants(3, 'not_sent');
    await grants(2, 'failed');
    expect(await count()).toEqual({ tried: 5, refused: 4, failed: 5 });
  });

  test('from before the window do not count', async () => {
    await add({ outcome: 'refused', started_at: (await store.nowMs()) - windowMs - 1_000 });
    expect(await count()).toEqual({ tried: 0, refused: 0, failed: 0 });
  });

  test('that those of another provider hide count as enough', async () => {
    const row = await insertGrantRow(store, { provider: 'google', account: 'x' });
    const started_at = await store.nowMs();
    const refused = { grant_id: row.id, outcome: 'refused', started_at } as const;
    const many = Array.from({ length: limits.refusalsReadMax - 1 }, () => attemptRow(refused));
    await store.db.insertInto('grantry_attempts').values(many).execute();
    expect(await count()).toEqual({ tried: 0, refused: 0, failed: 0 });
    await add(refused);
    const enough = limits.verdictRefusalsMin;
    expect(await count()).toEqual({ tried: enough, refused: enough, failed: 0 });
  });
});
