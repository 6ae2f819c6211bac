import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { systemWorld } from '../../base/system-world.ts';
import { migrate } from '../migrations/migrate.ts';
import { type OpenedStore, openStore } from '../store.ts';
import { countTokenRequest, deleteTokenRequest, purgeTokenRequests } from './token-requests.ts';

const limit = { requests: 3, windowMs: 600_000, marginMs: 10_000 };

describe.each(['sqlite', 'postgres'] as const)('token requests on %s', (kind) => {
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

  const count = (fingerprint: string, attemptId: string = crypto.randomUUID()) =>
    store.transaction((tx) => countTokenRequest(tx, { fingerprint, attemptId }, limit));

  test('counts up to the limit, whichever process asks, and then says how old the first one is', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => count('shared')));
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(3);
    const [refused] = answers.filter((answer) => answer !== undefined);
    expect(refused?.ageMs).toBeLessThan(60_000);
    expect(await count('another')).toBeUndefined();
  });

  test('gives room back for a request that was not sent', async () => {
    const attemptId = crypto.randomUUID();
    await count('token');
    await count('token', attemptId);
    await count('token');
    expect(await count('token')).toMatchObject({ ageMs: expect.any(Number) });
    await store.transaction((tx) => deleteTokenRequest(tx, { fingerprint: 'token', attemptId }));
    await store.transaction((tx) => deleteTokenRequest(tx, { fingerprint: 'unknown', attemptId }));
    expect(await count('token')).toBeUndefined();
    expect(await count('token')).toMatchObject({ ageMs: expect.any(Number) });
  });

  test('does not count requests that a clock dated that was ahead', async () => {
    const tomorrow = JSON.stringify(
      Array.from({ length: 3 }, (_, at) => ({ attempt: `${at}`, at: Date.now() + 86_400_000 })),
    );
    await count('token');
    await store.db.updateTable('grantry_token_requests').set({ requests: tomorrow }).execute();
    for (let request = 0; request < 3; request += 1) expect(await count('token')).toBeUndefined();
    expect(await count('token')).toMatchObject({ ageMs: expect.any(Number) });
  });

  test('forgets requests outside of the window, and tokens whose last request is old enough', async () => {
    await count('first');
    await count('second');
    const old = JSON.stringify([{ attempt: crypto.randomUUID(), at: 1 }]);
    await store.db.updateTable('grantry_token_requests').set({ requests: old, last_at: 1 }).execute();
    await count('first');
    const first = store.db.selectFrom('grantry_token_requests').select('requests').where('fingerprint', '=', 'first');
    expect(JSON.parse((await first.executeTakeFirstOrThrow()).requests)).toHaveLength(1);
    await count('third');
    const purge = (max: number) => store.transaction((tx) => purgeTokenRequests(tx, { keptMs: 600_000, limit: max }));
    expect([await purge(1), await purge(1)]).toEqual([1, 0]);
    const left = await store.db
      .selectFrom('grantry_token_requests')
      .select('fingerprint')
      .orderBy('fingerprint')
      .execute();
    expect(left).toEqual([{ fingerprint: 'first' }, { fingerprint: 'third' }]);
  });
});
