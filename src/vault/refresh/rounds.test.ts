/** The rounds of a refresh: when one looks again, when it waits for another process, and when it ends without a token. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, until } from '../../../test/support/bench.ts';
import {
  connected,
  deadOwner,
  headFor,
  leaveAnswer,
  noteAttempt,
  outcomesOf,
} from '../../../test/support/left-answers.ts';
import { pretendFailover } from '../../../test/support/refusals.ts';
import { GrantryError } from '../../base/errors.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { internalsOf } from '../internals.ts';
import { retireOwner } from '../spool/owner.ts';
import type { Vault } from '../types.ts';
import { refreshGrant } from './refresh.ts';

describe('a refresh that learns nothing new ends', () => {
  it.each([
    ['after so many rounds', 0, limits.refreshRoundsMax],
    ['when its time is up', 31_000, 1],
  ])('%s', async (_, roundMs, rounds) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { guard } = internalsOf(vault).open();
    pretendFailover(vault);
    let recoveries = 0;
    guard.finishFailover = async () => {
      recoveries += 1;
      if (recoveries > 2 * limits.refreshRoundsMax) throw new Error('it does not end');
      bench.clock.jump(roundMs);
    };
    expect(await codeOf(refresh(vault, key))).toBe('refresh_uncertain');
    expect(recoveries).toBe(rounds);
  });
});

it('a refresh succeeds whose answer is saved after its time is up', async () => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 31_000, when: 'after' } });
  const refreshing = refresh(vault, key);
  await until(() => bench.requests().length === 1, 'the request');
  await bench.jump(31_000);
  await refreshing;
  expect((await bench.row(key)).generation).toBe(2);
});

it('a grant whose back-off a clock wrote that was ahead is refreshed at once', async () => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  await change(bench, { reason: 'provider_throttled', retry_at: bench.clock.now() + 30 * 86_400_000 });
  await refresh(vault, key);
  expect((await bench.row(key)).generation).toBe(2);
});

it('an outcome of another grant is recorded too, and not waited for', async () => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  const { key: other } = await bench.connect(vault, { tenant: 'globex' });
  const outcomes = internalsOf(vault).open().pendingOutcomes;
  const { grantId, attemptId, ...head } = await headFor(bench, other);
  await noteAttempt(bench, { ...head, grantId, attemptId });
  const end = { ...head, grantId, attemptId, outcome: 'not_sent', detail: null } as const;
  const down = () => Promise.reject(new GrantryError('storage_unavailable', 'The database is down.'));
  await expect(outcomes.orRemember(end, down)).rejects.toThrow('down');
  let looks = 0;
  const isEmpty = () => Reflect.get(Object.getPrototypeOf(outcomes), 'isEmpty', outcomes) === true;
  Object.defineProperty(outcomes, 'isEmpty', {
    get: () => {
      looks += 1;
      if (looks > 50) throw new Error('it does not end');
      return isEmpty();
    },
  });
  await refresh(vault, key);
  for (let looked = 0; looked < 100 && !isEmpty(); looked += 1) await bench.jump(0);
  expect(await outcomesOf(bench)).toContain('not_sent');
});

it('an open breaker keeps a grant without a back-off from being tried', async () => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  const { bulkheads } = internalsOf(vault).open();
  for (let failures = 0; failures < limits.breakerFailures; failures += 1) {
    await bulkheads.run('strict', async (report) => report('bad'), { tenant: 'acme' });
  }
  expect(await codeOf(refresh(vault, key))).toBe('provider_unavailable');
  expect(bench.requests()).toHaveLength(0);
});

describe('a process that finds the lease taken', () => {
  it('prepares nothing while the holder is at work', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { vault: other } = await bench.open();
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const first = refresh(vault, key);
    await until(() => bench.requests().length === 1, 'the request');
    const prepared = watchPreparations(other);
    const second = refresh(other, key);
    await bench.jump(0);
    await bench.jump(1_000);
    await Promise.all([first, second]);
    expect(prepared).toEqual([]);
  });

  it('does not wait for a holder that is known to be dead, nor before it reads what that one left', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const waits = watchWaits(vault);
    retireOwner(deadOwner);
    await leaveAnswer(bench, vault, await headFor(bench, key));
    await change(bench, { lease_owner: deadOwner.id, lease_until: bench.clock.now() + 120_000 });
    await refresh(vault, key);
    expect((await bench.row(key)).generation).toBe(2);
    expect(waits).toEqual([]);
  });

  it('looks after seconds for the answer of a holder that may be dead', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const owner = { ...deadOwner, id: 'a-process-that-may-live' };
    await leaveAnswer(bench, vault, await headFor(bench, key, { owner }));
    await change(bench, { lease_owner: owner.id, lease_until: bench.clock.now() + 120_000 });
    let isDone = false;
    const refreshing = refresh(vault, key).finally(() => {
      isDone = true;
    });
    await bench.jump(0);
    expect(isDone).toBe(false);
    await bench.pass(6_000, () => isDone);
    expect(isDone).toBe(true);
    await refreshing;
    expect((await bench.row(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(0);
  });

  it('prepares nothing once its time is up', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await change(bench, { lease_owner: 'elsewhere:7:abcdef', lease_until: bench.clock.now() + 120_000 });
    const prepared = watchPreparations(vault);
    const ended = codeOf(refresh(vault, key));
    await bench.jump(0);
    await bench.jump(31_000);
    expect(await ended).toBe('refresh_uncertain');
    expect(prepared).toEqual([]);
  });

  it('prepares nothing if its wait fails', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await change(bench, { lease_owner: 'elsewhere:7:abcdef', lease_until: bench.clock.now() + 120_000 });
    const prepared = watchPreparations(vault);
    const { providers } = internalsOf(vault).open();
    const require = providers.require.bind(providers);
    providers.require = () => {
      providers.require = require;
      return Promise.reject(new GrantryError('storage_unavailable', 'The database is down.'));
    };
    expect(await codeOf(refresh(vault, key))).toBe('storage_unavailable');
    expect(prepared).toEqual([]);
  });
});

/** Refreshes generation 1 of a grant. */
function refresh(vault: Vault, key: GrantKey): Promise<void> {
  return refreshGrant(internalsOf(vault).open(), checkKey(key), 1);
}

async function change(bench: Bench, columns: Partial<GrantRow>): Promise<void> {
  await bench.judge.db.updateTable('oauth_tokens').set(columns).execute();
}

/** Notes each preparation of a request, which takes a place in the budget of retries. */
function watchPreparations(vault: Vault): string[] {
  const tries: string[] = [];
  internalsOf(vault).open().bulkheads.retries.countTry = (_name, kind) => void tries.push(kind);
  return tries;
}

/** Notes each wait for another process. */
function watchWaits(vault: Vault): string[] {
  const waits: string[] = [];
  internalsOf(vault).open().meter.leaseAwaited = ({ provider }) => void waits.push(provider);
  return waits;
}
