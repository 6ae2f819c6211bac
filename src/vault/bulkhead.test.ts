import { describe, expect, it } from 'vitest';
import { TestClock } from '../../test/support/clock.ts';
import { limits, timesOf } from '../base/limits.ts';
import { systemWorld } from '../base/system-world.ts';
import type { World } from '../base/world.ts';
import { Bulkheads } from './bulkhead.ts';

const times = timesOf(systemWorld());

describe('the retry budget', () => {
  it('is a tenth of the first calls, and some are saved up', () => {
    const { bulkheads } = make();
    useUp(bulkheads);
    for (let calls = 0; calls < 11; calls += 1) bulkheads.countTry('p', 'first');
    expect(mayRetry(bulkheads)).toBe(true);
    expect(mayRetry(bulkheads)).toBe(false);
    expect(mayRetry(bulkheads, 'another')).toBe(true);
  });

  it('lets somebody find out that the provider is back when every grant has failed, and all others follow', () => {
    const { bulkheads, clock } = make();
    useUp(bulkheads);
    clock.jump(times.breakerPauseMs);
    expect(mayRetry(bulkheads)).toBe(true);
    expect(mayRetry(bulkheads)).toBe(false);
    for (let served = 0; served < 100; served += 1) {
      bulkheads.countServed('p');
      expect(mayRetry(bulkheads)).toBe(true);
    }
    clock.jump(86_400_000);
    for (let saved = 0; saved < limits.retryBudgetMax; saved += 1) expect(mayRetry(bulkheads)).toBe(true);
    expect(mayRetry(bulkheads)).toBe(false);
  });
});

describe('slots', () => {
  it('are passed to those with a deadline first, who have some of their own', async () => {
    const { bulkheads } = make();
    const ends: (() => void)[] = [];
    const begun: string[] = [];
    const call = (name: string, urgent = false) =>
      bulkheads.run(
        'p',
        () => {
          begun.push(name);
          return new Promise<void>((resolve) => ends.push(resolve));
        },
        { urgent },
      );
    const running = Array.from({ length: limits.providerCallsMax }, () => call('usual'));
    running.push(...Array.from({ length: limits.urgentCallsMax }, () => call('urgent', true)));
    running.push(call('late'), call('pressing', true));
    await turns();
    expect(begun.filter((name) => name === 'usual')).toHaveLength(limits.providerCallsMax);
    expect(begun.filter((name) => name === 'urgent')).toHaveLength(limits.urgentCallsMax);
    expect(bulkheads.states()).toMatchObject([{ waiting: 2 }]);
    ends.shift()?.();
    await turns();
    expect(begun.at(-1)).toBe('pressing');
    // The slots beyond the usual are nobody else's.
    for (let ended = 0; ended < limits.urgentCallsMax; ended += 1) ends.shift()?.();
    await turns();
    expect(begun.at(-1)).toBe('pressing');
    ends.shift()?.();
    await turns();
    expect(begun.at(-1)).toBe('late');
    for (const end of ends) end();
    await Promise.all(running);
    expect(bulkheads.states()).toMatchObject([{ calls: 0, waiting: 0 }]);
  });
});

function make(): { bulkheads: Bulkheads; clock: TestClock } {
  const clock = new TestClock();
  const world: World = {
    ...systemWorld(),
    monotonic: () => clock.now(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
  return { bulkheads: new Bulkheads(world, times), clock };
}

function useUp(bulkheads: Bulkheads): void {
  for (let used = 0; used < limits.retryBudgetMax; used += 1) bulkheads.countTry('p', 'retry');
  expect(mayRetry(bulkheads)).toBe(false);
}

function mayRetry(bulkheads: Bulkheads, name = 'p'): boolean {
  try {
    bulkheads.countTry(name, 'retry');
    return true;
  } catch {
    return false;
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
