/**
 * Measures a hanging provider's effect on another provider's tokens: there must be none. Callers of the hanging
 * provider must get an error by their deadline.
 */
import { median, percentile } from '../measure.ts';
import { type Aim, table } from '../report.ts';
import { crowd } from './crowd.ts';
import type { Started } from './server-process.ts';

const rounds = 5;
const roundMs = 2_000;
const freshAtOnce = 8;
/** A caller waits 30 s at most; the rest is for the way back. */
const deadlineMs = 31_000;

interface Seen {
  /** p99 of reads of good tokens, with 32 connections. */
  readonly readP99Ms: number;
  /** p99 of tokens that must be refreshed first. */
  readonly freshP99Ms: number;
}

/**
 * Measures reads and refreshes while one provider hangs.
 *
 * @param reads measures reads of a good token for so many milliseconds
 */
export async function benchHanging(
  { port, key }: Started,
  reads: (ms: number) => Promise<{ p99Ms: number; others: number }>,
  database: string,
): Promise<Aim[]> {
  const get = async (tenant: string, provider: string): Promise<{ status: number; code: string; ms: number }> => {
    const startedAt = performance.now();
    const url = `http://127.0.0.1:${port}/v1/tenants/${tenant}/grants/${provider}/token`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
    const body: unknown = await response.json();
    const code: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'code') : undefined;
    return { status: response.status, code: String(code), ms: performance.now() - startedAt };
  };
  let next = 0;
  const phase = async (): Promise<Seen> => {
    const readings: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { p99Ms, others } = await reads(roundMs);
      if (others > 0) throw new Error(`${others} reads failed`);
      readings.push(p99Ms);
    }
    const waits: number[] = [];
    const until = next + crowd.fresh / 4;
    const one = async (): Promise<void> => {
      while (next < until) {
        const { status, ms } = await get(`fresh-${next++}`, 'bench');
        if (status !== 200) throw new Error(`a refresh failed with ${status}`);
        waits.push(ms);
      }
    };
    await Promise.all(Array.from({ length: freshAtOnce }, one));
    return { readP99Ms: median(readings), freshP99Ms: percentile(waits, 0.99) };
  };
  // Not counted: the first refreshes compile the code that all of them use.
  await phase();
  const before = await phase();
  const hung = Array.from({ length: crowd.hanging }, (_, index) => get(`hanging-${index}`, 'hanging'));
  const during = await phase();
  const told = await Promise.all(hung);
  const after = await phase();
  return judged({ before, during, after, told, database });
}

function judged(seen: {
  before: Seen;
  during: Seen;
  after: Seen;
  told: readonly { status: number; code: string; ms: number }[];
  database: string;
}): Aim[] {
  const { before, during, after, told, database } = seen;
  const row = (name: string, { readP99Ms, freshP99Ms }: Seen): string[] => [
    name,
    `${readP99Ms.toFixed(2)} ms`,
    `${freshP99Ms.toFixed(1)} ms`,
  ];
  const rows = [row('before', before), row(`while ${crowd.hanging} callers wait`, during), row('after', after)];
  process.stdout.write(`\n${table([`a provider hangs, ${database}`, 'p99 of a read', 'p99 of a refresh'], rows)}\n`);
  const codes = Object.entries(Object.groupBy(told, ({ status, code }) => `${status} ${code}`));
  process.stdout.write(`\nits callers: ${codes.map(([code, each]) => `${each?.length} × ${code}`).join(', ')}\n`);
  const quiet = (pick: (seen: Seen) => number): number => (pick(before) + pick(after)) / 2;
  return [
    {
      what: `p99 of another provider's tokens, read, beside undisturbed, ${database}`,
      value: during.readP99Ms / quiet((each) => each.readP99Ms),
      most: 2,
    },
    {
      what: `p99 of another provider's tokens, refreshed, beside undisturbed, ${database}`,
      value: during.freshP99Ms / quiet((each) => each.freshP99Ms),
      most: 2,
    },
    {
      what: `callers of the provider that hangs without a typed answer by their deadline, ${database}`,
      value: told.filter(({ status, code, ms }) => status !== 503 || code === 'undefined' || ms > deadlineMs).length,
      most: 0,
    },
  ];
}
