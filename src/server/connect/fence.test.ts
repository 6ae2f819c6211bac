/** A connect session that is started again while an earlier callback of it is still under way. */
import { expect, it } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import {
  claimConnectSession,
  completeConnectSession,
  holdConnectSession,
  insertConnectSession,
  isConnecting,
  returnConnectSession,
  startConnectSession,
} from '../../storage/statements/connect-sessions.ts';

it.each(databaseKinds)('a callback of an earlier start changes nothing of a later one, on %s', async (kind) => {
  await using bench = await makeBench({ kind });
  const { vault } = await bench.open();
  await bench.connect(vault);
  const { db } = bench.judge;
  const now = () => bench.judge.now();
  const place = { tenant: 'acme', id: '0190a000-0000-7000-8000-000000000001' };
  await insertConnectSession(db, now(), {
    id: place.id,
    client_id: place.tenant,
    token_hash: 'hash',
    provider: 'strict',
    account: 'default',
    app: 'strict',
    scopes: '[]',
    return_to: null,
    user_id: null,
    lifeMs: 60_000,
  });
  const start = { ...place, browserHash: 'browser', lifeMs: 60_000, startsMax: 9 };
  expect(await startConnectSession(db, now(), start)).toBe(true);
  const [first, second] = [
    { ...place, starts: 1 },
    { ...place, starts: 2 },
  ];
  expect(await claimConnectSession(db, { ...first, browserHash: 'browser' })).toBe(true);
  expect(await isConnecting(db, now(), { tenant: 'acme', provider: 'strict', app: 'strict' })).toBe(true);
  expect(await startConnectSession(db, now(), start)).toBe(true);
  expect(await claimConnectSession(db, { ...first, browserHash: 'browser' })).toBe(false);
  expect(await claimConnectSession(db, { ...second, browserHash: 'browser' })).toBe(true);
  const held = { pending: 'sealed', completionHash: 'hash', granted: '{}', lifeMs: 60_000 };
  expect(await returnConnectSession(db, { ...first, error: 'provider_error' })).toBe(false);
  expect(await holdConnectSession(db, now(), { ...first, ...held })).toBe(false);
  expect(await completeConnectSession(db, now(), { ...first, from: 'exchanging', granted: '{}' })).toBe(false);
  expect(await completeConnectSession(db, now(), { ...second, from: 'exchanging', granted: '{}' })).toBe(true);
  expect(await isConnecting(db, now(), { tenant: 'acme', provider: 'strict', app: 'strict' })).toBe(false);
});
