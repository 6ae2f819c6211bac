/** Measures the seeds of the simulated worlds, or tries mutants in them, in one process. */
import { installHooks } from '../../simulation/hooks.ts';
import { mutations, sieve, worlds } from '../../simulation/mutants.ts';
import { Hunt, say } from './hunt.ts';
import { readJob } from './job.ts';
import { mutants$ } from './switch.ts';

const job = readJob(process.env['GRANTRY_MUTANTS_JOB'] ?? '');
const seeds = Number(process.env['GRANTRY_MUTANTS_SEEDS'] ?? 1);
installHooks(null);
const { SeedRunner } = await import('../../simulation/seed-runner.ts');
await using runner = await SeedRunner.make('sqlite');

async function run(name: string): Promise<string | null> {
  const [world, seed] = name.split(', seed ');
  const focus = [...worlds, ...mutations].find((each) => each.name === world)?.focus ?? null;
  try {
    const { violations } = await runner.run(Number(seed), { focus });
    return violations[0]?.split('\n')[0] ?? null;
  } catch (error) {
    return String(error);
  }
}

if (job.mode === 'hunt') {
  await new Hunt(job, run, false).hunt();
} else {
  for (const world of ['wide', ...sieve]) {
    for (let seed = 1; seed <= (world === 'wide' ? 2 * seeds : seeds); seed += 1) {
      const name = `${world}, seed ${seed}`;
      mutants$.seen = new Set();
      const startedAt = performance.now();
      const error = await run(name);
      const measured = { name, ms: Math.round(performance.now() - startedAt), seen: [...mutants$.seen] };
      mutants$.seen = null;
      say(job, { kind: 'measured', test: error === null ? measured : { ...measured, error } });
    }
  }
  say(job, { kind: 'end' });
}
