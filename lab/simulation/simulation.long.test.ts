/** Whole worlds from seeds; `npm run simulate-world` runs as many as you like. */
import { expect, it } from 'vitest';
import { simulate } from './simulate.ts';

/** Seeds that once showed a defect of the vault, or of its judge, by what it was, and the narrow world where they did. */
const regressions: readonly { readonly what: string; readonly args: readonly string[] }[] = [
  {
    what: 'a spool file that cannot be removed keeps the answer from being settled',
    args: ['--seed', '7', '--world', 'plain'],
  },
  {
    what: 'a caller waits for two rounds of a hand-out one after the other',
    args: ['--seed', '317', '--world', 'plain'],
  },
  { what: 'a process that is closing is asked for the last word', args: ['--seed', '2', '--world', 'closing'] },
  {
    what: 'a rejected token is handed out again because its successor was parked',
    args: ['--seed', '23', '--world', 'plain'],
  },
  {
    what: 'an answer that comes between the claim and the request is not looked for',
    args: ['--seed', '39', '--world', 'generation'],
  },
  { what: 'a grant is given up after seconds of refusals at the end of an overlap', args: ['--seed', '239'] },
  { what: 'a consent without a refresh token counts as unsaved', args: ['--seed', '147'] },
  { what: 'events are judged in the order of clocks that differ', args: ['--seed', '2126'] },
];

it.each(regressions)('stays cured of: $what', async ({ args }) => {
  const { output } = await simulate(args);
  expect(output).not.toMatch(/VIOLATION.*/);
});

/** The same worlds each time, so that a failure shows a change. */
const firstSeed = Number(process.env['GRANTRY_SIMULATION_SEED'] ?? 1);

it('finds no violation', async () => {
  const { output, failed } = await simulate(['--from', String(firstSeed), '--seeds', '16', '--jobs', '2']);
  expect(failed, output).toBe(false);
  expect(output).toContain(`16 seeds from ${firstSeed},`);
});

it.each(['odd', 'handed-in', 'consents', 'shared', 'commits', 'incident', '503-lie', 'unseen', 'outage'])(
  'finds no violation in the world: %s',
  async (world) => {
    const { output } = await simulate(['--slice', '1,5,1', '--world', world]);
    expect(output).not.toMatch(/"violations":\["[^"]*/);
  },
);

it('finds no violation on PostgreSQL, and repeats a run there event for event', async () => {
  const { output, failed } = await simulate(['--seed', '2', '--database', 'postgres']);
  expect(output).toMatch(/^digest [0-9a-f]{64}$/m);
  expect(failed, output).toBe(false);
});

/** Several are guards of which the judge once excused the loss. */
const missing: readonly { readonly mutation: string; readonly from: string; readonly seen: RegExp }[] = [
  { mutation: 'save-before-use', from: '1', seen: /was used before it was saved/ },
  { mutation: 'suspect-strict', from: '1', seen: /I4: .*\/strict was condemned \(refused\) with a living token/ },
  { mutation: 'spool-disk', from: '14', seen: /I2: an answer for .* died with its process/ },
  {
    mutation: 'half-lease',
    from: '90',
    seen: /a replay revoked|a process did not wait for the requests of a dead one/,
  },
];

it.each(missing)('sees a guard that is missing: $mutation', async ({ mutation, from, seen }) => {
  const args = ['--mutate', '--mutation', mutation, '--from', from, '--seeds', '60', '--jobs', '1'];
  const { output, failed } = await simulate(args);
  expect(output).toMatch(seen);
  expect(failed).toBe(false);
});
