/** A few worlds, and the proof that each mutant still finds its guard. `simulation.long.test.ts` has more of both. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { economies } from './hooks.ts';
import { mutations } from './mutants.ts';
import { simulate } from './simulate.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('repeats a run event for event', async () => {
  const { output, failed } = await simulate(['--seed', '3']);
  expect(output).toMatch(/^digest [0-9a-f]{64}$/m);
  expect(failed).toBe(false);
});

it('finds no violation in three worlds', async () => {
  const { output, failed } = await simulate(['--from', '1', '--seeds', '3', '--jobs', '2']);
  expect(failed, output).toBe(false);
  expect(output).toMatch(/^3 seeds from 1,/m);
});

it.each([{ name: 'economies', edits: economies }, ...mutations])(
  'finds the text that it replaces once: $name',
  ({ edits }) => {
    for (const { file, from } of edits) {
      expect(readFileSync(`${root}.${file}`, 'utf8').split(from), `${file}: ${from}`).toHaveLength(2);
    }
  },
);
