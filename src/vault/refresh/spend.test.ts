/** One round of a refresh: what stops its request, and what its answer says about the provider. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench, until } from '../../../test/support/bench.ts';
import { connected, outcomesOf } from '../../../test/support/left-answers.ts';
import { filesIn } from '../../../test/support/refusals.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient, type FaultEffect } from '../../simulator/index.ts';
import type { VaultContext } from '../context.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { refreshGrant, refreshRound } from './refresh.ts';

/** The answer has tokens and an error: they are kept as a candidate. */
const odd: FaultEffect = { kind: 'patch', set: { error: 'warming_up' } };

describe('a process that is closing', () => {
  it('prepares nothing', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const context = closable(vault, () => true);
    let isPrepared = false;
    context.bulkheads.retries.countTry = () => {
      isPrepared = true;
    };
    expect(await codeOf(refreshGrant(context, checkKey(key), 1))).toBe('provider_unavailable');
    expect(isPrepared).toBe(false);
  });

  it('claims nothing after its preparation', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    let isClosing = false;
    const context = closable(vault, () => isClosing);
    context.bulkheads.retries.countTry = () => {
      isClosing = true;
    };
    expect(await codeOf(refreshGrant(context, checkKey(key), 1))).toBe('provider_unavailable');
    expect(await outcomesOf(bench)).toEqual([]);
    expect(filesIn(bench)).toEqual([]);
  });

  it('sends nothing after its claim, and returns the lease', async () => {
    await using bench = await makeBench();
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault);
    let isClosing = false;
    world.freezeBeforeSend();
    const refreshing = codeOf(
      refreshGrant(
        closable(vault, () => isClosing),
        checkKey(key),
        1,
      ),
    );
    await until(async () => (await bench.row(key)).lease_owner !== null, 'the lease');
    await bench.jump(0);
    isClosing = true;
    world.thaw();
    expect(await refreshing).toBe('provider_unavailable');
    expect(await outcomesOf(bench)).toEqual(['not_sent']);
    expect(await bench.row(key)).toMatchObject({ state: 'active', lease_owner: null });
    expect(bench.requests()).toHaveLength(0);
  });
});

it('a request that was held up until its lease left no time is not sent: a new claim sends it at once', async () => {
  await using bench = await makeBench();
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault);
  world.freezeBeforeSend();
  const refreshing = vault.getAccessToken(key);
  await until(async () => (await bench.row(key)).lease_owner !== null, 'the lease');
  await bench.jump(25_000);
  world.thaw();
  expect((await refreshing).generation).toBe(2);
  expect((await outcomesOf(bench)).sort()).toEqual(['not_sent', 'saved']);
  expect(bench.requests()).toHaveLength(1);
});

describe('what a round tells', () => {
  const status = (code: number): FaultEffect => ({ kind: 'status', status: code, when: 'before' });
  it.each<[string, FaultEffect | null, 'good' | 'bad']>([
    ['is well after tokens', null, 'good'],
    ['is well after a refusal', { kind: 'error', error: 'invalid_grant' }, 'good'],
    ['is well after it throttled a request', status(429), 'good'],
    ['fails after an error of its server', status(500), 'bad'],
    ['fails after an error of its gateway', status(502), 'bad'],
    ['fails after no answer', { kind: 'reset', when: 'before' }, 'bad'],
  ])('the provider %s', async (_, effect, expected) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { health } = await roundOf(bench, vault, key, effect);
    expect(health).toEqual([expected]);
  });

  it.each<[string, FaultEffect | null, { ended: string; served: number; accepted: number }]>([
    ['of saved tokens', null, { ended: 'saved', served: 1, accepted: 1 }],
    ['of tokens that wait as a candidate', odd, { ended: 'again', served: 0, accepted: 0 }],
  ])('%s', async (_, effect, expected) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    expect(await roundOf(bench, vault, key, effect)).toMatchObject(expected);
  });
});

/** The context of a vault whose closing is up to the test. */
function closable(vault: Vault, closing: () => boolean): VaultContext {
  return { ...internalsOf(vault).open(), closing };
}

/** Runs one round with the demo client in a caller's hands. */
async function roundOf(bench: Bench, vault: Vault, key: GrantKey, effect: FaultEffect | null) {
  const context = internalsOf(vault).open();
  const health: string[] = [];
  const counts = { served: 0, accepted: 0 };
  context.bulkheads.retries.countServed = () => {
    counts.served += 1;
  };
  const candidateClient = {
    name: 'on trial',
    clientId: demoClient.clientId,
    clientSecret: new Secret(demoClient.secret ?? ''),
    app: null,
    onAccepted: async (): Promise<void> => {
      counts.accepted += 1;
    },
  };
  if (effect !== null) bench.simulator.faults.add({ endpoint: 'token', effect });
  const row = await bench.row(key);
  const round = refreshRound(context, row, (each) => health.push(each), { candidateClient });
  const ended = await round.catch(() => 'an error');
  return { ended, health, ...counts };
}
