import { describe, expect, it } from 'vitest';
import { TestClock } from '../../test/support/clock.ts';
import { limits, timesOf } from '../base/limits.ts';
import { systemWorld } from '../base/system-world.ts';
import type { World } from '../base/world.ts';
import { Bulkheads } from './bulkhead.ts';

const times = timesOf(systemWorld());

describe('the retry budget', () => {
  it('grows by a tenth of the first calls, on top of its initial size', () => {
    const { bulkheads } = make();
    useUp(bulkheads);
    for (let calls = 0; calls < 11; calls += 1) bulkheads.retries.countTry('p', 'first');
    expect(mayRetry(bulkheads)).toBe(true);
    expect(mayRetry(bulkheads)).toBe(false);
    expect(mayRetry(bulkheads, 'another')).toBe(true);
  });

  it('allows a single probe when every grant has failed, and further retries once calls succeed', () => {
    const { bulkheads, clock } = make();
    useUp(bulkheads);
    clock.jump(times.breakerPauseMs);
    expect(mayRetry(bulkheads)).toBe(true);
    expect(mayRetry(bulkheads)).toBe(false);
    for (let served = 0; served < 100; served += 1) {
      bulkheads.retries.countServed('p');
      expect(mayRetry(bulkheads)).toBe(true);
    }
    clock.jump(86_400_000);
    for (let saved = 0; saved < limits.retryBudgetMax; saved += 1) expect(mayRetry(bulkheads)).toBe(true);
    expect(mayRetry(bulkheads)).toBe(false);
  });
});

describe('slots', () => {
  it('go to urgent calls first, which also have slots of their own', async () => {
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
        { tenant: 'acme', urgent },
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
    // Only urgent calls get the slots beyond the usual limit.
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

  it('go to the tenants in turns, however many calls one of them has waiting', async () => {
    const { bulkheads } = make();
    const begun: string[] = [];
    let most = 0;
    const call = (tenant: string, count: number) =>
      Array.from({ length: count }, () =>
        bulkheads.run(
          'p',
          async () => {
            begun.push(tenant);
            most = Math.max(most, bulkheads.states()[0]?.calls ?? 0);
            await turns();
          },
          { tenant },
        ),
      );
    const running = [...call('crowd', 200), ...call('small', 2), ...call('other', 1)];
    await Promise.all(running);
    const waited = begun.slice(limits.providerCallsMax);
    expect(waited.slice(0, 6)).toEqual(['crowd', 'small', 'other', 'crowd', 'small', 'crowd']);
    expect(most).toBe(limits.providerCallsMax);
    expect(bulkheads.states()).toMatchObject([{ calls: 0, waiting: 0 }]);
  });

  it('are not lost with a caller that gives up', async () => {
    const { bulkheads, clock } = make();
    const ends: (() => void)[] = [];
    const hold = () => new Promise<void>((resolve) => ends.push(resolve));
    const held = Array.from({ length: limits.providerCallsMax }, () => bulkheads.run('p', hold, { tenant: 'crowd' }));
    const late = bulkheads.run('p', hold, { tenant: 'small' }).catch((error: unknown) => error);
    await turns();
    clock.jump(times.callerWaitMs);
    expect(await late).toMatchObject({ code: 'provider_unavailable' });
    for (const end of ends) end();
    await Promise.all(held);
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
  for (let used = 0; used < limits.retryBudgetMax; used += 1) bulkheads.retries.countTry('p', 'retry');
  expect(mayRetry(bulkheads)).toBe(false);
}

function mayRetry(bulkheads: Bulkheads, name = 'p'): boolean {
  try {
    bulkheads.retries.countTry(name, 'retry');
    return true;
  } catch {
    return false;
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
