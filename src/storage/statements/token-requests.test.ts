import { expect, test } from 'vitest';
import { systemWorld } from '../../base/system-world.ts';
import { migrate } from '../migrations/migrate.ts';
import { openStore } from '../store.ts';
import { insertTokenRequest, purgeTokenRequests } from './token-requests.ts';

test('only requests that are old enough are forgotten, whatever token they were made with', async () => {
  let nowMs = 1_000_000;
  const store = await openStore({ database: 'sqlite::memory:', world: { ...systemWorld(), now: () => nowMs } });
  await migrate(store, { mode: 'auto' });
  const note = async (fingerprint: string) =>
    insertTokenRequest(store.db, store.now(), { fingerprint, attemptId: crypto.randomUUID() });
  await note('first');
  await note('second');
  nowMs += 600_000;
  await note('third');
  const purge = (limit: number) => purgeTokenRequests(store.db, store.now(), { keptMs: 600_000, limit });
  expect(await purge(1)).toBe(1);
  expect(await purge(10)).toBe(1);
  expect(await purge(10)).toBe(0);
  const left = await store.db.selectFrom('grantry_token_requests').select('fingerprint').execute();
  expect(left).toEqual([{ fingerprint: 'third' }]);
  await store.close();
});
