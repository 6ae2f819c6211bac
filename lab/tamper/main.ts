/**
 * `npm run tamper -- [--seconds N] [--database sqlite|postgres|both] [--seed N]`: an attacker with write access to every
 * table, while a vault serves. No refresh token, client secret or access token may reach a host or caller that is not
 * entitled to it, untouched grants must go on, and every altered row must be named. The exit code is 1 otherwise.
 *
 * `--mutate` takes one guard after the other out of the source, and must find what each is for within `--seconds` each.
 * `--mutation NAME` does so with one.
 */
import { registerHooks } from 'node:module';
import { parseArgs } from 'node:util';
import { loadEdited } from '../source-edits.ts';
import { guards } from './guards.ts';
import { huntGuards } from './hunt.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    database: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String((Math.random() * 2 ** 31) | 0) },
    mutate: { type: 'boolean', default: false },
    mutation: { type: 'string' },
  },
});
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
const kinds = values.database === 'both' ? ['sqlite', 'postgres'] : [values.database];
const guard = guards.find(({ name }) => name === values.mutation);
const isKnown = values.mutation === undefined || guard !== undefined;
const isKind = kinds.every((kind) => kind === 'sqlite' || kind === 'postgres');
if (!(seconds > 0) || !Number.isSafeInteger(seed) || !isKind || !isKnown) {
  const names = guards.map(({ name }) => name).join('|');
  process.stderr.write(
    `npm run tamper -- [--seconds N] [--database sqlite|postgres|both] [--seed N] [--mutate | --mutation ${names}]\n`,
  );
  process.exit(2);
}
process.exitCode = 0;
if (values.mutate) process.exitCode = await huntGuards({ seconds, seed, kinds });
else {
  registerHooks({ load: loadEdited(guard?.edits ?? []) });
  // Imported only now: the product must be loaded with the guard taken out.
  const { runOn } = await import('./run.ts');
  for (const kind of kinds) {
    const isClean = await runOn(kind, { seed, seconds: seconds / kinds.length, guard });
    if (!isClean) process.exitCode = 1;
    if (!isClean && guard === undefined)
      process.stdout.write(`Again: npm run tamper -- --seconds ${seconds} --database ${kind} --seed ${seed}\n`);
  }
}
