/**
 * Whole worlds from seeds, each in a process of its own: the ports in front of disk and database must be in place before
 * the product is loaded.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { mutations } from './mutants.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Seeds that once showed a defect of the vault, or of its judge, by what it was, and the narrow world where they did. */
const regressions: readonly { readonly what: string; readonly args: readonly string[] }[] = [
  { what: 'a spool file that cannot be removed keeps the answer from being settled', args: ['--seed', '7'] },
  { what: 'a caller waits for two rounds of a hand-out one after the other', args: ['--seed', '317'] },
  { what: 'a process that is closing is asked for the last word', args: ['--seed', '2', '--world', 'closing'] },
  { what: 'a rejected token is handed out again because its successor was parked', args: ['--seed', '23'] },
  {
    what: 'an answer that comes between the claim and the request is not looked for',
    args: ['--seed', '39', '--world', 'generation'],
  },
];

it('repeats a run event for event', async () => {
  const { output, failed } = await simulate(['--seed', '3']);
  expect(output).toMatch(/^digest [0-9a-f]{64}$/m);
  expect(failed).toBe(false);
});

it.each(regressions)('stays cured of: $what', async ({ args }) => {
  const { output } = await simulate(args);
  expect(output).not.toMatch(/VIOLATION.*/);
});

/** The same worlds each time, so that a change is what a failure shows. New ones: npm run simulate-world. */
const firstSeed = Number(process.env['GRANTRY_SIMULATION_SEED'] ?? 1);

it('finds no violation', async () => {
  const from = firstSeed;
  process.stdout.write(`simulated worlds from seed ${from}\n`);
  const { output, failed } = await simulate([
    '--from',
    String(from),
    '--seeds',
    '24',
    '--jobs',
    '2',
    '--minutes',
    '1.5',
  ]);
  const ran = Number(/^(\d+) seeds from/m.exec(output)?.[1]);
  expect(failed, output).toBe(false);
  expect(ran).toBeGreaterThan(5);
});

it.each(mutations)('takes out what is there: $name', ({ edits }) => {
  for (const { file, from } of edits) {
    expect(readFileSync(`${root}.${file}`, 'utf8').split(from), file).toHaveLength(2);
  }
});

/** The last two are guards of which the judge once excused the loss. */
const missing: readonly { readonly mutation: string; readonly from: string; readonly seen: RegExp }[] = [
  { mutation: 'save-before-use', from: '1', seen: /was used before it was saved/ },
  { mutation: 'suspect-strict', from: '1', seen: /I4: .*\/strict was condemned \(refused\) with a living token/ },
  { mutation: 'spool-disk', from: '14', seen: /I2: an answer for .* died with its process/ },
];

it.each(missing)('sees a guard that is missing: $mutation', async ({ mutation, from, seen }) => {
  const args = ['--mutate', '--mutation', mutation, '--from', from, '--seeds', '60', '--jobs', '1'];
  const { output, failed } = await simulate(args);
  expect(output).toMatch(seen);
  expect(failed).toBe(false);
});

async function simulate(args: readonly string[]): Promise<{ output: string; failed: boolean }> {
  try {
    const { stdout } = await run(process.execPath, [main, ...args], { maxBuffer: 64 * 1_048_576 });
    return { output: stdout, failed: false };
  } catch (error) {
    // execFile puts what a failed program said beside its error.
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { output: `${stdout}${stderr}`, failed: true };
  }
}
