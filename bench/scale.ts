/**
 * `npm run scale [-- --grants 1000000] [--small 10000] [--database sqlite|postgres]`: compares the vault's daily work
 * with a million grants and with ten thousand. Both are measured in turns, in one process.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { rolldown } from 'rolldown';

import { requirePackages, root } from '../scripts/steps.ts';
import { openVault, type Vault } from '../src/index.ts';
import { internalsOf } from '../src/vault/internals.ts';
import { measureInTurns } from './measure.ts';
import { type Aim, judge, table } from './report.ts';
import { plansOf } from './scale/plans.ts';
import { type Population, populate } from './scale/population.ts';
import type { ReaderPlan, ReaderReport } from './scale/reader-process.ts';
import { type Subject, subjectOf, type Work, works } from './scale/work.ts';

interface Opened extends AsyncDisposable {
  readonly vault: Vault;
  readonly subject: Subject;
  readonly home: string;
  readonly database: string;
}

const rounds = 15;

requirePackages();
const { values } = parseArgs({
  options: {
    grants: { type: 'string', default: '1000000' },
    small: { type: 'string', default: '10000' },
    reads: { type: 'string', default: '220000' },
    database: { type: 'string', multiple: true, default: ['sqlite', 'postgres'] },
  },
});
const directory = mkdtempSync(path.join(tmpdir(), 'grantry-scale-'));
const aims: Aim[] = [];
try {
  if (values.database.includes('sqlite')) {
    aims.push(...(await compare('sqlite', async (name) => `sqlite:${directory}/${name}/grantry.db`)));
  }
  if (values.database.includes('postgres')) {
    const { scratchServer } = await import('../scripts/scratch-postgres.ts');
    await using server = await scratchServer();
    aims.push(...(await compare('postgres', () => server.scratch())));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.stdout.write(`\nNode.js ${process.version}, ${process.platform} ${process.arch}\n`);
process.exitCode = judge(aims) ? 0 : 1;

async function compare(kind: string, databaseFor: (name: string) => Promise<string>): Promise<Aim[]> {
  const many = Number(values.grants);
  const few = Number(values.small);
  const reads = Math.min(Number(values.reads), many);
  // Every n-th tenant has tokens that open: at least as many as are read.
  const sealed = many / Math.max(1, Math.floor(many / Math.max(reads, few)));
  await using small = await open(`${kind}-small`, databaseFor, populationOf(few, few));
  await using large = await open(`${kind}-large`, databaseFor, populationOf(many, sealed));
  const found: Aim[] = [];
  const rows: string[][] = [];
  for (const work of works) {
    const { row, aim } = await measure(kind, work, small.subject, large.subject);
    rows.push(row);
    found.push(aim);
  }
  const head = [kind, `${few.toLocaleString('en')} grants`, `${many.toLocaleString('en')} grants`, 'ratio'];
  process.stdout.write(`\n${table(head, rows)}\n`);
  found.push(...(await memory(kind, large, reads)), await plans(kind, large.subject));
  return found;
}

function populationOf(grants: number, sealed: number): Population {
  return { grants, sealed, refreshable: 5_000, due: 1_000, changed: 100 };
}

async function open(
  name: string,
  databaseFor: (name: string) => Promise<string>,
  population: Population,
): Promise<Opened> {
  const home = `${directory}/${name}`;
  mkdirSync(home, { mode: 0o700 });
  const database = await databaseFor(name);
  const rootKey = `file:${home}/root.key`;
  const started = performance.now();
  const filled = await openVault({ home, database, rootKey });
  await populate(filled, rootKey, population);
  const changedAtMs = (await internalsOf(filled).open().store.nowMs()) - 3_600_000;
  await filled.close();
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  process.stderr.write(`  ${name}: ${population.grants.toLocaleString('en')} grants stored in ${seconds} s\n`);
  // Opened again, because the settings for filling are not those of a normal vault.
  const vault = await openVault({ home, database, rootKey });
  return {
    vault,
    home,
    database,
    subject: subjectOf(vault, population, changedAtMs),
    [Symbol.asyncDispose]: () => vault.close(),
  };
}

async function measure(kind: string, work: Work, small: Subject, large: Subject): Promise<{ row: string[]; aim: Aim }> {
  const candidate = (subject: Subject, name: string) => {
    let index = 0;
    return {
      name,
      run: async (count: number) => {
        for (let done = 0; done < count; done += 1) {
          index += 1;
          await work.once(subject, index);
        }
      },
    };
  };
  const [before, after] = await measureInTurns([candidate(small, 'small'), candidate(large, 'large')], {
    rounds,
    roundMs: work.roundMs,
  });
  const ratio = 1 / (after?.ratio ?? Number.NaN);
  const micros = (perSecond = Number.NaN): string => `${(1e6 / perSecond).toFixed(0)} µs`;
  return {
    row: [work.name, micros(before?.perSecond), micros(after?.perSecond), ratio.toFixed(2)],
    aim: { what: `${kind}: ${work.name}, time against few grants`, value: ratio, most: 1.5 },
  };
}

async function memory(kind: string, { home, database, subject }: Opened, reads: number): Promise<Aim[]> {
  const plan: ReaderPlan = { home, database, population: subject.population, reads };
  const program = await bundledReader();
  // Only its own program writes there.
  const report = JSON.parse(
    execFileSync(process.execPath, [program, JSON.stringify(plan)], { encoding: 'utf8' }),
  ) as ReaderReport;
  const { startMb, peakMb, perSecond } = report;
  process.stdout.write(
    `${kind}: a process that reads ${reads.toLocaleString('en')} grants: ${startMb.toFixed(0)} MB at the start, ` +
      `${peakMb.toFixed(0)} MB at most, ${perSecond.toFixed(0)} reads/s\n`,
  );
  return [{ what: `${kind}: memory of a process that reads ${reads} grants, MB`, value: peakMb, most: 300 }];
}

/** Bundles the reader as it is built for users: stripping types from sources takes extra memory. */
async function bundledReader(): Promise<string> {
  const file = `${directory}/reader.mjs`;
  const bundle = await rolldown({
    cwd: root,
    input: './bench/scale/reader-process.ts',
    platform: 'node',
    // pg looks for its native variant at run time, and works without it.
    external: (id) => isBuiltin(id) || id === 'pg-native',
    logLevel: 'silent',
  });
  await bundle.write({ file, format: 'esm', codeSplitting: false });
  await bundle.close();
  return file;
}

async function plans(kind: string, subject: Subject): Promise<Aim> {
  let scans = 0;
  for (const work of works) {
    for (const plan of await plansOf(subject, work)) {
      if (plan.scans) scans += 1;
      process.stdout.write(`\n${plan.scans ? '✗' : '✓'} ${work.name}: ${plan.statement} …\n`);
      for (const line of plan.lines) process.stdout.write(`    ${line}\n`);
    }
  }
  return { what: `${kind}: statements that read a whole table`, value: scans, most: 0 };
}
