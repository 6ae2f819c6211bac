import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Mutation, mutations } from './mutants.ts';
import { runSlices } from './parallel.ts';

interface Found {
  readonly mutation: Mutation;
  readonly seed: number | null;
  readonly violation: string;
  readonly seeds: number;
}

const docs = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url));
const begin = '<!-- guards: begin -->';
const end = '<!-- guards: end -->';

/** Takes one guard out after the other and looks for the first seed that shows what it is for. The exit code. */
export async function huntMutants(options: {
  seeds: number;
  from: number;
  jobs: number;
  only: string | undefined;
  write: boolean;
}): Promise<number> {
  const found: Found[] = [];
  const wanted = mutations.filter(({ name }) => options.only === undefined || options.only === name);
  const pairs = wanted.map(({ covered }) => covered?.pair);
  for (const mutation of mutations.filter((each) => wanted.includes(each) || pairs.includes(each.name))) {
    found.push(await hunt(mutation, options));
  }
  const table = tableOf(found);
  process.stdout.write(`\n${table}\n`);
  if (options.write) writeTable(table);
  return found.every((each) => isShown(each, found)) ? 0 : 1;
}

/** The simulation found it, or found it only together with the guard that covers for it. */
function isShown({ mutation, seed }: Found, all: readonly Found[]): boolean {
  if (mutation.covered === undefined) return seed !== null;
  const { pair } = mutation.covered;
  // A loss with only this guard missing would mean that the reason is wrong.
  return seed === null && all.some((each) => each.mutation.name === pair && each.seed !== null);
}

async function hunt(mutation: Mutation, options: { seeds: number; from: number; jobs: number }): Promise<Found> {
  let first: { seed: number; violation: string } | null = null;
  let runs = 0;
  const trouble = await runSlices({
    ...options,
    mutation: mutation.name,
    onResult: (result) => {
      runs += 1;
      const violation = result.violations[0];
      if (violation === undefined) return true;
      first = { seed: result.seed, violation };
      return false;
    },
  });
  if (trouble !== null) throw new Error(`${mutation.name}: ${trouble}`);
  // Set in the callback, which the compiler does not follow.
  const hit = first as { seed: number; violation: string } | null;
  const said = hit === null ? `nothing in ${runs} seeds` : `seed ${hit.seed}: ${hit.violation}`;
  process.stdout.write(`${mutation.name}: ${said} (${runs} runs)\n`);
  return { mutation, seed: hit?.seed ?? null, violation: hit?.violation ?? '', seeds: runs };
}

function tableOf(found: readonly Found[]): string {
  const rows = found.map((each) => {
    const { mutation, seed } = each;
    return `| \`${mutation.name}\` | ${mutation.guard} | ${whatWasFound(each)} | ${seed ?? '-'} |`;
  });
  return ['| taken out | guard | what the simulation found | seed |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function whatWasFound({ mutation, seed, violation, seeds }: Found): string {
  if (seed !== null) return plain(violation);
  const alone = `nothing by itself, in ${seeds} seeds`;
  return mutation.covered === undefined
    ? alone
    : `${alone}: ${mutation.covered.because}; both: \`${mutation.covered.pair}\``;
}

/** Without the time, and on one line. */
function plain(violation: string): string {
  return (violation.split('\n')[0] ?? '').replace(/^[\d.]+ s: /, '').replaceAll('|', '/');
}

function writeTable(table: string): void {
  const text = readFileSync(docs, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < 0) throw new Error('docs/reliability.md has no place for the table');
  writeFileSync(docs, `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`);
}
