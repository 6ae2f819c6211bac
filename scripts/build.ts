/**
 * `npm run build`: the library compiled file by file into dist/, the command line bundled into dist/cli/.
 *
 * The command line is bundled because each file that a start has to find, read and compile costs time; what is loaded
 * by `await import()` stays a file of its own, read only when it is needed.
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

/** What handing out a stored token runs through: kept together, since each file more is a look-up, a read and a link. */
const hotFiles = ['src/cli/commands/token.ts', 'src/cli/context.ts', 'src/cli/output.ts', 'src/vault/open.ts'].map(
  (file) => `${root}${file}`,
);

/**
 * `import { x } from 'node:fs'` evaluates everything that module exports, streams and all, to fill a namespace that
 * nobody looks at. Asking for the module itself does not.
 */
const plainBuiltins: Plugin = {
  name: 'plain-builtins',
  renderChunk: (code) =>
    code.replaceAll(/^import (.+?) from ["'](node:[\w/]+)["'];$/gm, (_, what: string, module: string) => {
      const name = what.replace(/^\* as /, '').replaceAll(' as ', ': ');
      if (what.includes(',') && !what.startsWith('{')) throw new Error(`the bundle imports ${what}`);
      return `const ${name} = process.getBuiltinModule("${module}");`;
    }),
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
    // pg looks for its native twin at run time, and does without.
    external: (id) => isBuiltin(id) || id === 'pg-native',
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`the bundle is not clean: ${log.message}`);
    },
  };
  const hot = await closureOf(hotFiles, settings);
  const bundle = await rolldown({ ...settings, plugins: [plainBuiltins] });
  const { output } = await bundle.write({
    dir: `${made}/cli`,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    comments: false,
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
    codeSplitting: { groups: [{ name: 'hot', test: (id) => hot.has(id) }] },
  });
  await bundle.close();
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  writeFileSync(`${made}/cli/THIRD-PARTY-LICENSES.txt`, licencesOf(modules));
}

/** These modules and whatever they import, without what they load later. */
async function closureOf(files: readonly string[], settings: RolldownOptions): Promise<Set<string>> {
  const imports = new Map<string, readonly string[]>();
  const graph: Plugin = {
    name: 'graph',
    buildEnd() {
      for (const id of this.getModuleIds()) imports.set(id, this.getModuleInfo(id)?.importedIds ?? []);
    },
  };
  const bundle = await rolldown({ ...settings, plugins: [graph] });
  await bundle.generate({ format: 'esm' });
  await bundle.close();
  const reached = new Set<string>();
  const follow = (id: string): void => {
    if (reached.has(id)) return;
    reached.add(id);
    imports.get(id)?.forEach(follow);
  };
  for (const file of files) {
    if (!imports.has(file)) throw new Error(`${file} is not part of the command line`);
    follow(file);
  }
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
