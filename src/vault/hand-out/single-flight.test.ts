import { expect, it } from 'vitest';
import { SingleFlight } from './single-flight.ts';

it('shares one answer among concurrent callers and starts again for later ones', async () => {
  const flight = new SingleFlight<number>();
  let begun = 0;
  const ask = () => flight.run('a', 1, async () => (begun += 1));
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  expect(await ask()).toBe(2);
});

it('shares neither answers begun before a change nor answers under another name', async () => {
  const flight = new SingleFlight<string>();
  const before = flight.run('a', 1, async () => 'before');
  const after = flight.run('a', 2, async () => 'after');
  const other = flight.run('b', 1, async () => 'other');
  expect(await Promise.all([before, after, other])).toEqual(['before', 'after', 'other']);
});

it('shares a failure among concurrent callers, but not with later ones', async () => {
  const flight = new SingleFlight<string>();
  const failing = flight.run('a', 1, () => Promise.reject(new Error('away')));
  const joining = flight.run('a', 1, async () => 'never begun');
  await expect(failing).rejects.toThrow('away');
  await expect(joining).rejects.toThrow('away');
  expect(await flight.run('a', 1, async () => 'again')).toBe('again');
});
