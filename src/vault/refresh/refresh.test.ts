/** The seven steps of a refresh, in the order of the docstring in refresh.ts: one test per step, on both databases. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, until, whileLocked } from '../../../test/support/bench.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { timesOf } from '../../base/limits.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { refreshGrant } from './refresh.ts';

/** The provider's delay before its answer, so that a test can act while the request is under way. */
const answerMs = 1_000;
/** The longest wait of a caller of `getAccessToken`. */
const { callerWaitMs } = timesOf({});

describe.each(databaseKinds)('a refresh on %s', (kind) => {
  test('1. reads the row first, and sends nothing if another process has refreshed already', async () => {
    await using bench = await makeBench({ kind });
    const { vault: first } = await bench.open();
    const { vault: second } = await bench.open();
    const { key } = await bench.connect(first);

    await refresh(first, key);
    await refresh(second, key);

    expect((await bench.row(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  test('2. prepares everything that may fail before it spends the token', async () => {
    await using bench = await makeBench({ kind });
    const occupied = join(bench.home, 'occupied');
    writeFileSync(occupied, 'a file where the spool directory should be');
    const { vault } = await bench.open({ spool: occupied });
    const { key } = await bench.connect(vault);

    expect(await codeOf(refresh(vault, key))).toBe('storage_unavailable');

    expect(await bench.row(key)).toMatchObject({ state: 'active', lease_owner: null });
    expect(bench.requests()).toHaveLength(0);
  });

  test('3. takes the lease and writes the attempt before it sends the request', async () => {
    await using bench = await makeBench({ kind });
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault);
    const before = await bench.row(key);

    world.freezeBeforeSend();
    const refreshing = refresh(vault, key);
    await until(async () => (await bench.row(key)).lease_owner !== null, 'the lease');

    expect(await bench.row(key)).toMatchObject({ generation: 1, lease_fence: before.lease_fence + 1 });
    expect(await attempts(bench)).toMatchObject([{ outcome: 'open', generation: 1 }]);
    expect(bench.requests()).toHaveLength(0);

    world.thaw();
    await refreshing;
    expect(bench.requests()).toHaveLength(1);
  });

  test('4. passes the point of no return: the request goes on after its caller has given up', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);

    delayTheAnswer(bench, 2 * callerWaitMs);
    const call = codeOf(vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    await bench.jump(callerWaitMs);
    expect(await call).toBe('provider_unavailable');
    expect((await bench.row(key)).generation).toBe(1);

    await bench.jump(callerWaitMs);
    await until(async () => (await bench.row(key)).generation === 2, 'the save');
    expect(bench.requests()).toHaveLength(1);
  });

  test('5. keeps the sealed answer in the spool while the database cannot take it', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);

    delayTheAnswer(bench);
    const refreshing = refresh(vault, key);
    await until(() => bench.requests().length === 1, 'the request');
    await whileLocked(bench, async () => {
      await bench.jump(answerMs);
      await until(() => spooledAnswers(bench).length === 1, 'the answer in the spool');
    });
    const [answer = ''] = spooledAnswers(bench);
    expect(answer).not.toContain('access_token');

    await refreshing;
    expect((await bench.row(key)).generation).toBe(2);
  });

  test('6. saves the tokens as the next generation, or parks them as a candidate if the lease is lost', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key: kept } = await bench.connect(vault, { tenant: 'kept' });
    const { key: overtaken } = await bench.connect(vault, { tenant: 'overtaken' });

    await refresh(vault, kept);
    expect(await bench.row(kept)).toMatchObject({ generation: 2, lease_owner: null });
    expect(await candidates(bench)).toEqual([]);

    delayTheAnswer(bench);
    const refreshing = refresh(vault, overtaken);
    await until(() => bench.requests().length === 2, 'the request');
    await takeLeaseAway(bench, overtaken);
    await bench.jump(answerMs);
    await refreshing;

    // The parked tokens were spent in the next round, which brought the next generation after all.
    expect(await candidates(bench)).toMatchObject([{ generation: 1, state: 'superseded' }]);
    expect((await bench.row(overtaken)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(3);
  });

  test('7. shows the new token to its callers only after the save', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    let handedOut = 0;

    delayTheAnswer(bench);
    const calls = [1, 2, 3].map(async () => {
      const token = await vault.getAccessToken(key);
      handedOut += 1;
      return token.generation;
    });
    await until(() => bench.requests().length === 1, 'the request');
    await whileLocked(bench, async () => {
      await bench.jump(answerMs);
      await until(() => spooledAnswers(bench).length === 1, 'the answer in the spool');
      expect((await bench.row(key)).generation).toBe(1);
      expect(handedOut).toBe(0);
    });

    expect(await Promise.all(calls)).toEqual([2, 2, 2]);
    expect((await bench.row(key)).generation).toBe(2);
  });
});

/** Refreshes generation 1 of a grant. */
function refresh(vault: Vault, key: GrantKey): Promise<void> {
  return refreshGrant(internalsOf(vault).open(), checkKey(key), 1);
}

/** The provider acts on the next token request at once and answers later. */
function delayTheAnswer(bench: Bench, ms = answerMs): void {
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms, when: 'after' } });
}

/** Ends the lease and raises its fence, as a claim by another process does. */
async function takeLeaseAway(bench: Bench, key: GrantKey): Promise<void> {
  const { id, lease_fence: fence } = await bench.row(key);
  await bench.judge.db
    .updateTable('oauth_tokens')
    .set({ lease_owner: null, lease_until: null, lease_fence: fence + 1 })
    .where('client_id', '=', key.tenant)
    .where('id', '=', id)
    .execute();
}

function attempts(bench: Bench) {
  return bench.judge.db.selectFrom('grantry_attempts').selectAll().execute();
}

function candidates(bench: Bench) {
  return bench.judge.db.selectFrom('grantry_candidates').selectAll().execute();
}

/** The contents of the spool files that hold an answer that is not committed yet. */
function spooledAnswers(bench: Bench): string[] {
  const spool = join(bench.home, 'spool');
  const names = readdirSync(spool).filter((name) => name.endsWith('.answer'));
  return names.map((name) => readFileSync(join(spool, name), 'latin1'));
}
