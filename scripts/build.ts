/**
 * `npm run build`: compiles the library file by file into dist/ and bundles the command line into dist/cli/.
 *
 * The command line is bundled because a start has to find, read and compile each file. A module loaded by `await
 * import()` stays a separate file, read only when needed. The bundle is CommonJS: finding and linking an ES module
 * takes several times as long, and importing a built-in one evaluates all its exports.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { type Plugin, type RolldownOptions, rolldown } from 'rolldown';

import { describeServer } from '../src/server/description.ts';
import { isOutsideBundle } from '../test/support/bundle-rules.ts';
import { root } from './steps.ts';

// Builds beside the old directory and swaps at the end, so that a running program finds one of the two complete.
const made = `${root}.tmp/dist-${process.pid}`;
const dist = `${root}dist`;

/** lru-cache reads `performance` when it loads, and Node then loads its performance modules: 4 ms of a 40 ms start. */
const quietLruCache: Plugin = {
  name: 'quiet-lru-cache',
  transform: (code, id) => (id.includes('/lru-cache/') ? code.replaceAll(/\bperformance\b/g, 'undefined') : null),
};

/**
 * Kysely's query builder refers to its schema builder and other parts, a third of its code, that Grantry never calls. A call
 * of one would fail in every test of the built program.
 */
const unusedOfKysely: Readonly<Record<string, readonly string[]>> = {
  'schema/schema': ['SchemaModule'],
  'plugin/with-schema/with-schema-plugin': ['WithSchemaPlugin'],
  'query-builder/merge-query-builder': ['MergeQueryBuilder'],
  'query-builder/json-path-builder': ['JSONPathBuilder'],
  'dialect/sqlite/sqlite-introspector': ['SqliteIntrospector'],
  'dialect/postgres/postgres-introspector': ['PostgresIntrospector'],
};

const slimKysely: Plugin = {
  name: 'slim-kysely',
  load: (id) => {
    const part = /\/kysely\/dist\/esm\/(.*)\.js$/.exec(id)?.[1] ?? '';
    const failing = (name: string): string =>
      `export class ${name} { constructor() { throw new Error('the bundle leaves out ${name}; see scripts/build.ts'); } }`;
    return unusedOfKysely[part]?.map(failing).join('\n') ?? null;
  },
};

rmSync(made, { recursive: true, force: true });
mkdirSync(made, { recursive: true });
try {
  compileLibrary();
  await bundleCommandLine();
  writeDescription();
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
    external: isOutsideBundle,
    plugins: [quietLruCache, slimKysely],
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`the bundle is not clean: ${log.message}`);
    },
  };
  // All modules of every start are in one file: each further file is a look-up and a read.
  const hot = await closureOf(`${root}src/cli/main.ts`, settings);
  const bundle = await rolldown(settings);
  const { output } = await bundle.write({
    dir: `${made}/cli`,
    format: 'cjs',
    // bin/grantry.js runs the main file in a way that has no `import()`.
    dynamicImportInCjs: false,
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    comments: false,
    codeSplitting: { groups: [{ name: 'hot', test: (id) => hot.has(id) }] },
    minify: { compress: true, mangle: true, codegen: { removeWhitespace: true } },
  });
  await bundle.close();
  for (const { fileName } of output) toAscii(`${made}/cli/${fileName}`);
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  writeFileSync(`${made}/cli/THIRD-PARTY-LICENSES.txt`, licencesOf(modules));
}

/** Escapes the few other characters, which stand in strings. Node.js keeps and hashes ASCII text at half the size. */
function toAscii(file: string): void {
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/[^\0-\x7f]/g, escaped));
}

/** The package holds a copy of the server's description, for those who generate a client without a server. */
function writeDescription(): void {
  const { version } = readManifest(`${root}package.json`);
  const description: unknown = JSON.parse(describeServer({ version, publicUrl: 'http://127.0.0.1:8484' }));
  writeFileSync(`${made}/openapi.json`, `${JSON.stringify(description, null, 2)}\n`);
}

/** Finds a module and its static imports, without later `import()` calls. */
async function closureOf(file: string, settings: RolldownOptions): Promise<Set<string>> {
  const imports = new Map<string, readonly string[]>();
  const graph: Plugin = {
    name: 'graph',
    buildEnd() {
      for (const id of this.getModuleIds()) imports.set(id, this.getModuleInfo(id)?.importedIds ?? []);
    },
  };
  const bundle = await rolldown({ ...settings, plugins: [quietLruCache, slimKysely, graph] });
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

/** The bundle contains other packages' code, so their licences are added. */
function licencesOf(modules: string[]): string {
  const packages = new Set<string>();
  for (const id of modules) {
    const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
    if (found?.[1] !== undefined) packages.add(found[1]);
  }
  const texts = [...packages].toSorted().map((folder) => {
    const { name, version } = readManifest(path.join(folder, 'package.json'));
    return `${name} ${version}\n\n${licenceIn(folder)}\n`;
  });
  return `The command line contains code of these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

/** The licence and notice files of a package, or the last section of its README: some have their licence only there. */
function licenceIn(folder: string): string {
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8').trim();
  const files = readdirSync(folder).filter((name) => /^(?:licen[cs]e|notice)/i.test(name));
  if (files.length > 0) return files.map(read).join('\n\n');
  const section = /^#+ licen[cs]e\n+([\s\S]*\bcopyright\b[\s\S]+)/im.exec(read('README.md'));
  if (section?.[1] === undefined) throw new Error(`${folder} has no licence text`);
  return section[1];
}

function readManifest(file: string): { name: string; version: string } {
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const field = (name: string): string => {
    const value: unknown = typeof manifest === 'object' && manifest !== null ? Reflect.get(manifest, name) : undefined;
    if (typeof value !== 'string') throw new TypeError(`${file} has no ${name}`);
    return value;
  };
  return { name: field('name'), version: field('version') };
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
