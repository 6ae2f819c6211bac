/** Returns milliseconds from any start. */
export type Clock = () => number;

const wallClock: Clock = () => performance.now();

/** Reads the processor time of this process: for work that never waits, on a machine with other load. */
export const processorClock: Clock = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** A candidate to measure: it does its work `count` times. */
export interface Candidate {
  name: string;
  run(count: number): Promise<void>;
}

export interface Measured {
  name: string;
  /** Median over the rounds. */
  perSecond: number;
  /** Median of the ratios to the first candidate, each taken within one round. */
  ratio: number;
}

/**
 * Measures candidates in turns, each once per round in changing order, so that other load affects all alike. The first
 * candidate is the yardstick.
 */
export async function measureInTurns(
  candidates: readonly Candidate[],
  options: { rounds: number; roundMs: number; clock?: Clock },
): Promise<Measured[]> {
  const clock = options.clock ?? wallClock;
  const counts = new Map<Candidate, number>();
  for (const candidate of candidates) counts.set(candidate, await countFor(candidate, options.roundMs, clock));
  const rates = new Map<Candidate, number[]>(candidates.map((candidate) => [candidate, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    const order = candidates.map((_, index) => candidates[(index + round) % candidates.length]);
    for (const candidate of order) {
      if (candidate === undefined) continue;
      const count = counts.get(candidate) ?? 1;
      rates.get(candidate)?.push(await rate(candidate, count, clock));
    }
    process.stderr.write(`\r  round ${round + 1} of ${options.rounds}`);
  }
  process.stderr.write('\r                      \r');
  const yardstick = candidates[0] === undefined ? [] : (rates.get(candidates[0]) ?? []);
  return candidates.map((candidate) => {
    const own = rates.get(candidate) ?? [];
    return {
      name: candidate.name,
      perSecond: median(own),
      ratio: median(own.map((each, round) => each / (yardstick[round] ?? Number.NaN))),
    };
  });
}

/** Warms up, and finds how often the work fits into a round. A single slow try only shows that the machine was busy. */
async function countFor(candidate: Candidate, roundMs: number, clock: Clock): Promise<number> {
  let count = 16;
  for (;;) {
    let quickest = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 3 && quickest > roundMs / 8; tries += 1) {
      const started = clock();
      await candidate.run(count);
      quickest = Math.min(quickest, clock() - started);
    }
    if (quickest >= roundMs / 2) return Math.max(1, Math.round((count * roundMs) / quickest));
    count *= 2;
  }
}

async function rate(candidate: Candidate, count: number, clock: Clock): Promise<number> {
  const started = clock();
  await candidate.run(count);
  return (count * 1000) / (clock() - started);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
