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
  for (const mutation of mutations.filter(({ name }) => options.only === undefined || options.only === name)) {
    found.push(await hunt(mutation, options));
  }
  const table = tableOf(found);
  process.stdout.write(`\n${table}\n`);
  if (options.write) writeTable(table);
  return found.every(({ seed }) => seed !== null) ? 0 : 1;
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
  const rows = found.map(
    ({ mutation, seed, violation, seeds }) =>
      `| \`${mutation.name}\` | ${mutation.guard} | ${seed === null ? `none in ${seeds} seeds` : plain(violation)} | ${seed ?? '-'} |`,
  );
  return ['| taken out | guard | what the simulation found | seed |', '| --- | --- | --- | --- |', ...rows].join('\n');
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
