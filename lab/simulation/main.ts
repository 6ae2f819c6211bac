/**
 * `npm run simulate-world -- --seeds 5000 [--from N] [--jobs N] [--database sqlite|postgres|both]`: many seeds, each a world of several processes and
 * everything that goes wrong between them. `--seed N [--trace]` repeats one. `--mutate [NAME]` takes one guard after the
 * other out of the source and looks for a seed that shows what it is for; `--write` puts the table into the docs.
 */
import { parseArgs } from 'node:util';
import { installHooks } from './hooks.ts';
import { byName } from './host/coverage.ts';
import { mutations, worlds } from './mutants.ts';
import { huntMutants } from './mutate.ts';
import { runParallel } from './parallel.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '2' },
    mutate: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    /** The world of this mutation, with the guard in its place. */
    world: { type: 'string' },
    write: { type: 'boolean', default: false },
    /** A slice of seeds for a process of a parallel run: results go out as lines of JSON. */
    slice: { type: 'string' },
    minutes: { type: 'string' },
    /** `sqlite`, `postgres`, or `both`: an eighth of the seeds on PostgreSQL. */
    database: { type: 'string', default: 'sqlite' },
  },
});

if (values.slice !== undefined) await runSlice(values.slice);
else if (values.seed !== undefined) await runOne(Number(values.seed));
else if (values.mutate) {
  process.exitCode = await huntMutants({
    seeds: Number(values.seeds),
    from: Number(values.from),
    jobs: Number(values.jobs),
    only: values.mutation,
    write: values.write,
  });
} else {
  process.exitCode = await runParallel({
    from: Number(values.from),
    seeds: Number(values.seeds),
    jobs: Number(values.jobs),
    database: databaseOf(values.database),
    world: values.world,
    minutesMax: values.minutes === undefined ? null : Number(values.minutes),
  });
}

/** The narrower world that concerns the guard which is taken out. */
function focusNamed() {
  const wanted = values.world ?? values.mutation;
  return [...mutations, ...worlds].find(({ name }) => name === wanted)?.focus ?? null;
}

/** Imports the product only when the hooks are in place. */
async function makeRunner() {
  const mutation = mutations.find(({ name }) => name === values.mutation) ?? null;
  if (values.mutation !== undefined && mutation === null) throw new Error(`No mutation is called ${values.mutation}.`);
  installHooks(mutation);
  const { SeedRunner } = await import('./seed-runner.ts');
  return SeedRunner.make(databaseOf(values.database));
}

function databaseOf(name: string): 'sqlite' | 'postgres' | 'both' {
  if (name === 'sqlite' || name === 'postgres' || name === 'both') return name;
  throw new Error('--database is sqlite, postgres or both.');
}

async function runSlice(slice: string): Promise<void> {
  const [from = 0, count = 0, step = 1] = slice.split(',').map(Number);
  await using runner = await makeRunner();
  for (let index = 0; index < count; index += 1) {
    const result = await runner.run(from + index * step, { focus: focusNamed() });
    process.stdout.write(`${JSON.stringify({ ...result, coverage: [...result.coverage] })}\n`);
  }
}

async function runOne(seed: number): Promise<void> {
  await using runner = await makeRunner();
  const result = await runner.run(seed, {
    focus: focusNamed(),
    trace: values.trace ? (line) => process.stdout.write(`${line}\n`) : undefined,
  });
  const again = values.trace ? result : await runner.run(seed, { focus: focusNamed() });
  process.stdout.write(
    `seed ${seed}: ${result.steps} events in ${Math.round(result.virtualMs / 1_000)} s of its time\n`,
  );
  for (const [what, times] of byName(result.coverage)) process.stdout.write(`  ${what}: ${times}\n`);
  for (const violation of result.violations) process.stdout.write(`VIOLATION ${violation}\n`);
  process.stdout.write(again.digest === result.digest ? `digest ${result.digest}\n` : 'NOT REPEATABLE\n');
  process.exitCode = result.violations.length > 0 || again.digest !== result.digest ? 1 : 0;
}
