import { expect, test } from 'vitest';
import { uuidSequence } from './ids.ts';
import { systemWorld } from './system-world.ts';

test('each UUID sorts behind the one before, within a millisecond and when the clock is set back', () => {
  let nowMs = 1_800_000_000_000;
  const next = uuidSequence({ ...systemWorld(), now: () => nowMs });
  const made = Array.from({ length: 10_000 }, next);
  nowMs -= 60_000;
  made.push(next());
  nowMs += 120_000;
  made.push(next());
  expect(made).toEqual(made.toSorted());
  expect(new Set(made).size).toBe(made.length);
  for (const uuid of made)
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(Number.parseInt(made.at(-1)?.replace('-', '').slice(0, 12) ?? '', 16)).toBe(nowMs);
});
