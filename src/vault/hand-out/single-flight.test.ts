import { expect, it } from 'vitest';
import { SingleFlight } from './single-flight.ts';

it('shares one answer among all who ask at once, and begins anew for whoever comes later', async () => {
  const flight = new SingleFlight<number>();
  let begun = 0;
  const ask = () => flight.run('a', 1, async () => (begun += 1));
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  expect(await ask()).toBe(2);
});

it('joins nothing that was begun before a change, nor what belongs to somebody else', async () => {
  const flight = new SingleFlight<string>();
  const before = flight.run('a', 1, async () => 'before');
  const after = flight.run('a', 2, async () => 'after');
  const other = flight.run('b', 1, async () => 'other');
  expect(await Promise.all([before, after, other])).toEqual(['before', 'after', 'other']);
});

it('shares a failure with those who asked for it, and with nobody after them', async () => {
  const flight = new SingleFlight<string>();
  const failing = flight.run('a', 1, () => Promise.reject(new Error('away')));
  const joining = flight.run('a', 1, async () => 'never begun');
  await expect(failing).rejects.toThrow('away');
  await expect(joining).rejects.toThrow('away');
  expect(await flight.run('a', 1, async () => 'again')).toBe('again');
});
