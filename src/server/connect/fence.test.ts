/** A connect session that is started again while an earlier callback of it is still under way. */
import { expect, it } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { plainSeal } from '../../../test/support/row-seal.ts';
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
  bench.judge.protect(plainSeal());
  const { db, transaction: write } = bench.judge;
  const place = { tenant: 'acme', id: '0190a000-0000-7000-8000-000000000001' };
  await write((tx) =>
    insertConnectSession(tx, {
      id: place.id,
      tenant: place.tenant,
      token_hash: 'hash',
      provider: 'strict',
      account: 'default',
      app: 'strict',
      scopes: '[]',
      return_to: null,
      adds: null,
      user_id: null,
      environment: null,
      expect_organization: null,
      lifeMs: 60_000,
    }),
  );
  const start = { ...place, browserHash: 'browser', lifeMs: 60_000, startsMax: 9 };
  expect(await write((tx) => startConnectSession(tx, start))).toBe(true);
  const [first, second] = [
    { ...place, starts: 1 },
    { ...place, starts: 2 },
  ];
  expect(await write((tx) => claimConnectSession(tx, { ...first, browserHash: 'browser' }))).toBe(true);
  expect(await isConnecting(db, { tenant: 'acme', provider: 'strict', app: 'strict' })).toBe(true);
  expect(await write((tx) => startConnectSession(tx, start))).toBe(true);
  expect(await write((tx) => claimConnectSession(tx, { ...first, browserHash: 'browser' }))).toBe(false);
  expect(await write((tx) => claimConnectSession(tx, { ...second, browserHash: 'browser' }))).toBe(true);
  const held = { pending: 'sealed', completionHash: 'hash', granted: '{}', lifeMs: 60_000 };
  expect(await write((tx) => returnConnectSession(tx, { ...first, error: 'provider_error' }))).toBe(false);
  expect(await write((tx) => holdConnectSession(tx, { ...first, ...held }))).toBe(false);
  expect(await write((tx) => completeConnectSession(tx, { ...first, from: 'exchanging', granted: '{}' }))).toBe(false);
  expect(await write((tx) => completeConnectSession(tx, { ...second, from: 'exchanging', granted: '{}' }))).toBe(true);
  expect(await isConnecting(db, { tenant: 'acme', provider: 'strict', app: 'strict' })).toBe(false);
});
