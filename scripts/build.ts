/**
 * `npm run build`: the library compiled file by file into dist/, the command line bundled into dist/cli/.
 *
 * The command line is bundled because each file that a start has to find, read and compile costs time; what is loaded
 * by `await import()` stays a file of its own, read only when it is needed. It is CommonJS: finding and linking a module
 * takes several times as long, and importing a built-in one evaluates everything that it exports.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';

import { type Plugin, type RolldownOptions, rolldown } from 'rolldown';

import { root } from './steps.ts';

// Built beside the old one and put in its place at the end: a program that runs meanwhile finds one of the two whole.
const made = `${root}.tmp/dist-${process.pid}`;
const dist = `${root}dist`;

/** It asks for `performance` when it is loaded, and Node then loads all that measures performance: 3 ms of a start. */
const quietLruCache: Plugin = {
  name: 'quiet-lru-cache',
  transform: (code, id) => (id.includes('/lru-cache/') ? code.replaceAll(/\bperformance\b/g, 'undefined') : null),
};

rmSync(made, { recursive: true, force: true });
mkdirSync(made, { recursive: true });
try {
  compileLibrary();
  await bundleCommandLine();
  replaceDist();
} finally {
  rmSync(made, { recursive: true, force: true });
}

function compileLibrary(): void {
  execFileSync(`${root}node_modules/.bin/tsc`, ['-p', 'tsconfig.build.json', '--outDir', made], {
    cwd: root,
    stdio: 'inherit',
  });
}

async function bundleCommandLine(): Promise<void> {
  const settings: RolldownOptions = {
    cwd: root,
    input: { main: './src/cli/main.ts' },
    platform: 'node',
    // pg looks for its native twin at run time, and does without. Spans go to the copy that the program's SDK uses.
    external: (id) => isBuiltin(id) || id === 'pg-native' || id === '@opentelemetry/api',
    plugins: [quietLruCache],
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`the bundle is not clean: ${log.message}`);
    },
  };
  // What every start runs through is one file: each more is a look-up and a read.
  const hot = await closureOf(`${root}src/cli/main.ts`, settings);
  const bundle = await rolldown(settings);
  const { output } = await bundle.write({
    dir: `${made}/cli`,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    comments: false,
    codeSplitting: { groups: [{ name: 'hot', test: (id) => hot.has(id) }] },
    minify: { compress: true, mangle: true, codegen: { removeWhitespace: true } },
  });
  await bundle.close();
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  writeFileSync(`${made}/cli/THIRD-PARTY-LICENSES.txt`, licencesOf(modules));
}

/** A module and every module that it imports at once, without those that it loads later. */
async function closureOf(file: string, settings: RolldownOptions): Promise<Set<string>> {
  const imports = new Map<string, readonly string[]>();
  const graph: Plugin = {
    name: 'graph',
    buildEnd() {
      for (const id of this.getModuleIds()) imports.set(id, this.getModuleInfo(id)?.importedIds ?? []);
    },
  };
  const bundle = await rolldown({ ...settings, plugins: [quietLruCache, graph] });
  await bundle.generate({ format: 'esm' });
  await bundle.close();
  const reached = new Set<string>();
  const follow = (id: string): void => {
    if (reached.has(id)) return;
    reached.add(id);
    imports.get(id)?.forEach(follow);
  };
  follow(file);
  return reached;
}

/** The bundle contains other people's code: their licences go with it. */
function licencesOf(modules: string[]): string {
  const packages = new Set<string>();
  for (const id of modules) {
    const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
    if (found?.[1] !== undefined) packages.add(found[1]);
  }
  const texts = [...packages].toSorted().map((folder) => {
    const { name, version, license } = readManifest(path.join(folder, 'package.json'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? `Licence: ${license}` : readFileSync(path.join(folder, file), 'utf8').trim();
    return `${name} ${version}\n\n${text}\n`;
  });
  return `The command line contains code of these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

function readManifest(file: string): { name: string; version: string; license: string } {
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const field = (name: string): string => {
    const value: unknown = typeof manifest === 'object' && manifest !== null ? Reflect.get(manifest, name) : undefined;
    if (typeof value !== 'string') throw new TypeError(`${file} has no ${name}`);
    return value;
  };
  return { name: field('name'), version: field('version'), license: field('license') };
}

function replaceDist(): void {
  const old = `${root}.tmp/dist-old-${process.pid}`;
  try {
    renameSync(dist, old);
  } catch {
    // The first build has nothing to replace.
  }
  renameSync(made, dist);
  rmSync(old, { recursive: true, force: true });
}
