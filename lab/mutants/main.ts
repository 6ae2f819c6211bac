/**
 * `npm run mutants`: makes one small change after the other in the conditions of the vault, and looks for a test or a
 * simulated world that notices it. Ends with a table and every survivor by file and line. A run that was stopped goes on
 * where it was. `--file PART` takes only files whose path has this part; `--survivors` tries survivors again; `--list`
 * only reports; `--slow` runs the longest tests too; `--reviewed` tries the mutants of `reviewed.json` too.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startPostgres } from '../../test/support/postgres-server.ts';
import { Compiler } from './compiler.ts';
import { applied, type Mutant, mutantsOf } from './generate.ts';
import { type Checks, measured, noticeOf } from './notice.ts';
import { type Judged, report } from './report.ts';
import { hashOf, Results } from './results.ts';
import { readReviewed } from './reviewed.ts';
import { subjects } from './subjects.ts';
import { Tree } from './tree.ts';

const { values } = parseArgs({
  options: {
    file: { type: 'string', default: '' },
    results: { type: 'string', default: '.tmp/mutants/results.jsonl' },
    jobs: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '3' },
    survivors: { type: 'boolean', default: false },
    reviewed: { type: 'boolean', default: false },
    slow: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

const aim = 0.95;
const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const texts = new Map(subjects.map((file) => [file, readFileSync(`${root}/${file}`, 'utf8')]));
const results = new Results(values.results);
const reviewed = readReviewed();
const mutants = subjects.filter((file) => file.includes(values.file)).flatMap((file) => mutantsOf(file, textOf(file)));

if (!values.list) await tryAll();
const judged: Judged[] = mutants.map((mutant) => ({
  mutant,
  result: results.get(mutant, hashOf(textOf(mutant.file))),
  reviewed: reviewOf(mutant),
}));
const stale = reviewed.filter(
  ({ file, mutant }) =>
    file.includes(values.file) && !mutants.some((each) => each.file === file && each.key === mutant),
);
const { lines, share } = report(judged, stale);
process.stdout.write(`\n${lines.join('\n')}\n`);
process.exitCode = share >= aim && stale.length === 0 ? 0 : 1;

async function tryAll(): Promise<void> {
  compileAll();
  const waiting = mutants.filter((mutant) => mustTry(mutant));
  const total = waiting.length;
  if (total === 0) return;
  const postgres = await startPostgres();
  const trees = Array.from({ length: Number(values.jobs) }, () => new Tree(root));
  const stop = (): void => {
    for (const tree of trees) tree.remove();
    process.exit(1);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const [first] = trees;
    if (first === undefined) return;
    const options = { postgresUrl: postgres.url, seeds: Number(values.seeds), slow: values.slow };
    const checks = await measured(first, options);
    await Promise.all(
      trees.map(async (tree) => {
        for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
          await tryOne(tree, mutant, checks, `${total - waiting.length} of ${total}`);
        }
      }),
    );
  } finally {
    for (const tree of trees) tree.remove();
    await postgres.remove();
  }
}

function mustTry(mutant: Mutant): boolean {
  if (reviewOf(mutant) !== undefined && !values.reviewed) return false;
  const known = results.get(mutant, hashOf(textOf(mutant.file)));
  return known === undefined || (values.survivors && known.by === null);
}

/** A mutant that does not compile is none: no editor would let it pass. */
function compileAll(): void {
  const unknown = mutants.filter((mutant) => results.get(mutant, hashOf(textOf(mutant.file))) === undefined);
  if (unknown.length === 0) return;
  const compiler = new Compiler(root);
  for (const file of new Set(unknown.map((mutant) => mutant.file))) {
    const text = textOf(file);
    for (const mutant of unknown.filter((each) => each.file === file)) {
      const error = compiler.errorIn(file, applied(text, mutant));
      if (error !== undefined)
        results.add({ file, key: mutant.key, text: hashOf(text), by: 'compiler', how: error, ms: 0 });
    }
    compiler.restore(file);
  }
}

async function tryOne(tree: Tree, mutant: Mutant, checks: Checks, progress: string): Promise<void> {
  const text = textOf(mutant.file);
  const startedAt = performance.now();
  tree.write(mutant.file, applied(text, mutant));
  const notice = await noticeOf(tree, checks);
  tree.write(mutant.file, text);
  const ms = Math.round(performance.now() - startedAt);
  const said = notice === null ? 'SURVIVES' : `${notice.by}: ${notice.how}`;
  results.add({
    file: mutant.file,
    key: mutant.key,
    text: hashOf(text),
    by: notice?.by ?? null,
    how: notice?.how ?? '',
    ms,
  });
  process.stdout.write(`${progress} ${mutant.file}:${mutant.line} ${mutant.key.slice(0, 100)} | ${said} (${ms} ms)\n`);
}

function reviewOf({ file, key }: Mutant) {
  return reviewed.find((each) => each.file === file && each.mutant === key);
}

function textOf(file: string): string {
  const text = texts.get(file);
  if (text === undefined) throw new Error(`${file} was not read`);
  return text;
}
