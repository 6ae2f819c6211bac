import { expect, it } from 'vitest';
import { GrantryError } from '../base/errors.ts';
import { systemWorld } from '../base/system-world.ts';
import { Reach } from './reach.ts';

function makeReach() {
  let aheadMs = 0;
  const world = { ...systemWorld(), monotonic: () => performance.now() + aheadMs };
  const reach = new Reach(world);
  return { reach, elapse: (ms: number) => (aheadMs += ms) };
}

const away = async (): Promise<never> => {
  throw new GrantryError('storage_unavailable', 'refused');
};
const hang = (): Promise<never> => new Promise(() => {});

it('gives the answer, and passes other errors on', async () => {
  const { reach } = makeReach();
  expect(await reach.ask(async () => 7, 50)).toBe(7);
  const missing = reach.ask(() => Promise.reject(new GrantryError('grant_not_found', 'none')), 50);
  await expect(missing).rejects.toMatchObject({ code: 'grant_not_found' });
  expect(reach.isAway).toBe(false);
});

it('lets no caller wait once the database hangs, and asks once per second whether it is back', async () => {
  const { reach, elapse } = makeReach();
  await expect(reach.ask(hang, 50)).rejects.toMatchObject({ code: 'storage_unavailable' });
  let asked = 0;
  for (let call = 0; call < 1_000; call += 1) {
    if (call % 100 === 0) elapse(1_000);
    const startedAt = performance.now();
    const refused = reach.ask(() => {
      asked += 1;
      return hang();
    }, 50);
    await expect(refused).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(performance.now() - startedAt).toBeLessThan(500);
  }
  expect(asked).toBeGreaterThanOrEqual(10);
  expect(asked).toBeLessThanOrEqual(15);
});

it('notices the first answer of a database that is back', async () => {
  const { reach, elapse } = makeReach();
  await expect(reach.ask(away, 50)).rejects.toMatchObject({ code: 'storage_unavailable' });
  elapse(1_000);
  await expect(reach.ask(async () => 7, 50)).rejects.toMatchObject({ code: 'storage_unavailable' });
  await expect.poll(() => reach.isAway).toBe(false);
  expect(await reach.ask(async () => 8, 50)).toBe(8);
});

it('does not take a stall of this process for an outage', async () => {
  const { reach } = makeReach();
  const answered = reach.ask(() => new Promise((resolve) => setTimeout(resolve, 5, 'answer')), 60);
  const until = performance.now() + 45;
  while (performance.now() < until);
  expect(await answered).toBe('answer');
});

it('lets a patient caller wait while an outage is shorter than that', async () => {
  const { reach } = makeReach();
  await expect(reach.ask(hang, 20)).rejects.toMatchObject({ code: 'storage_unavailable' });
  expect(await reach.ask(async () => 7, 2_000)).toBe(7);
});

it('does not take the late failure of an old read for a new outage', async () => {
  const { reach, elapse } = makeReach();
  let fail = (_error: unknown): void => {};
  const old = reach.ask(() => new Promise((_, reject) => (fail = reject)), 20);
  await expect(old).rejects.toMatchObject({ code: 'storage_unavailable' });
  elapse(1_000);
  await expect(reach.ask(async () => 7, 20)).rejects.toMatchObject({ code: 'storage_unavailable' });
  await expect.poll(() => reach.isAway).toBe(false);
  fail(new GrantryError('storage_unavailable', 'the connection that hung'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(reach.isAway).toBe(false);
  expect(await reach.ask(async () => 8, 20)).toBe(8);
});
