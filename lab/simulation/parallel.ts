import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { byName, Coverage, excusedMark } from './host/coverage.ts';

const resultSchema = z.object({
  seed: z.number(),
  violations: z.array(z.string()),
  coverage: z.array(z.tuple([z.string(), z.number()])),
  digest: z.string(),
  steps: z.number(),
  virtualMs: z.number(),
});

export type SliceResult = z.output<typeof resultSchema>;

/** Runs seeds in processes of their own; `onResult` returns false to stop them all. */
export async function runSlices(options: {
  from: number;
  seeds: number;
  jobs: number;
  mutation?: string | undefined;
  world?: string | undefined;
  database?: string | undefined;
  onResult: (result: SliceResult) => boolean;
}): Promise<string | null> {
  const { from, seeds, jobs } = options;
  const children = new Set<ChildProcess>();
  const failures: string[] = [];
  let stopped = false;
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  await Promise.all(
    Array.from({ length: jobs }, async (_, job) => {
      const count = Math.ceil((seeds - job) / jobs);
      const mutation = options.mutation === undefined ? [] : ['--mutation', options.mutation];
      const world = options.world === undefined ? [] : ['--world', options.world];
      const slice = ['--slice', `${from + job},${count},${jobs}`, '--database', options.database ?? 'sqlite'];
      const child = spawn(process.execPath, [main, ...slice, ...mutation, ...world], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.add(child);
      let said = '';
      child.stderr.on('data', (chunk) => {
        said += String(chunk);
      });
      const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
      for await (const line of createInterface({ input: child.stdout })) {
        if (stopped) break;
        if (options.onResult(resultSchema.parse(JSON.parse(line)))) continue;
        stopped = true;
        for (const each of children) each.kill();
      }
      const code = await ended;
      if (code !== 0 && !stopped) failures.push(said.slice(0, 2_000));
    }),
  );
  return failures[0] ?? null;
}

/** Many seeds with progress; the exit code. */
export async function runParallel(options: {
  from: number;
  seeds: number;
  jobs: number;
  database: string;
  world: string | undefined;
  minutesMax: number | null;
}): Promise<number> {
  const coverage = new Coverage();
  const failed: SliceResult[] = [];
  const startedAt = performance.now();
  let runs = 0;
  let steps = 0;
  let shownAt = startedAt;
  const trouble = await runSlices({
    ...options,
    onResult: (result) => {
      runs += 1;
      steps += result.steps;
      coverage.add(result.coverage);
      if (result.violations.length > 0) {
        failed.push(result);
        process.stdout.write(`seed ${result.seed}: ${result.violations[0] ?? ''}\n`);
      }
      const now = performance.now();
      if (now - shownAt > 10_000) {
        shownAt = now;
        const perSecond = (runs * 1_000) / (now - startedAt);
        process.stdout.write(
          `${runs} of ${options.seeds} seeds, ${perSecond.toFixed(1)} per second, ${failed.length} failed\n`,
        );
      }
      return options.minutesMax === null || now - startedAt < options.minutesMax * 60_000;
    },
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  process.stdout.write(`\nWhat happened in ${runs} runs:\n${linesOf(coverage, false)}`);
  process.stdout.write(`\nWhat the judge let pass, by kind:\n${linesOf(coverage, true)}`);
  process.stdout.write(
    `\n${runs} seeds from ${options.from}, ${steps} events, ${seconds.toFixed(0)} s, ${(runs / seconds).toFixed(1)} seeds per second, ${failed.length} failed\n`,
  );
  const on = options.database === 'sqlite' ? '' : ` --database ${options.database}`;
  for (const { seed } of failed.slice(0, 50))
    process.stdout.write(`again: npm run simulate-world -- --seed ${seed}${on} --trace\n`);
  if (trouble !== null) process.stdout.write(`a run broke off: ${trouble}\n`);
  return failed.length === 0 && trouble === null ? 0 : 1;
}

function linesOf(coverage: Coverage, excused: boolean): string {
  return byName(coverage.counts)
    .filter(([what]) => what.startsWith(excusedMark) === excused)
    .map(([what, times]) => `  ${String(times).padStart(9)}  ${what.replace(excusedMark, '')}\n`)
    .join('');
}
