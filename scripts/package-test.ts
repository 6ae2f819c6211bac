/**
 * Packs the package and uses it as a new user does: looks at its files, installs it with scripts off into an empty
 * folder, loads and type-checks every export, runs the command.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { root } from './steps.ts';

const packedBytesMax = 2_000_000;
const allowedFiles =
  /^(?:package\.json|LICENSE|gitleaks\.toml|README\.md|CHANGELOG\.md|SECURITY\.md|bin\/(?:grantry\.js|package\.json)|dist\/.+\.(?:js|d\.ts)|docs\/(?:decisions\/|images\/)?[\w.-]+\.(?:md|svg)|examples\/[\w-]+\.ts|dist\/openapi\.json|dist\/cli\/[\w.-]+\.cjs|dist\/cli\/THIRD-PARTY-LICENSES\.txt)$/;

interface Packed {
  filename: string;
  size: number;
  files: { path: string }[];
}

interface Manifest {
  version: string;
  exports: Record<string, string | { types: string; default: string }>;
  devDependencies: Record<string, string>;
}

const manifest: Manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
mkdirSync(`${root}.tmp`, { recursive: true });
const folder = mkdtempSync(`${root}.tmp/package-`);
try {
  const tarball = pack();
  run('publint', 'publint', ['run', tarball, '--strict']);
  const consumer = install(tarball);
  checkLicences(consumer);
  loadExports(consumer);
  checkTypes(consumer);
  runCommand(consumer);
  await serve(consumer);
  say('the package works in an empty folder');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function pack(): string {
  const answer = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // The build may print before it; npm's answer is the JSON list at the end.
  const [packed]: Packed[] = JSON.parse(answer.slice(answer.search(/^\[/m)));
  if (packed === undefined) throw new Error('npm pack created no package');
  const names = packed.files.map((file) => file.path);
  const strangers = names.filter((name) => !allowedFiles.test(name) || /\.test\./.test(name));
  if (strangers.length > 0) throw new Error(`not meant to be published: ${strangers.join(', ')}`);
  const missing = promisedFiles().filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Error(`missing from the package: ${missing.join(', ')}`);
  if (packed.size > packedBytesMax) throw new Error(`${packed.size} bytes packed, more than ${packedBytesMax}`);
  say(`packed ${names.length} files, ${Math.round(packed.size / 1000)} kB`);
  return path.join(folder, packed.filename);
}

function promisedFiles(): string[] {
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : [target.types, target.default],
  );
  return [
    ...targets.map((target) => target.replace('./', '')),
    'LICENSE',
    'README.md',
    'bin/grantry.js',
    'bin/package.json',
    'dist/cli/main.cjs',
  ];
}

function install(tarball: string): string {
  const consumer = path.join(folder, 'consumer');
  mkdirSync(consumer);
  writeFileSync(path.join(consumer, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const companions = ['@types/node', 'drizzle-orm'].map((name) => `${name}@${manifest.devDependencies[name] ?? ''}`);
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', ...options, tarball, ...companions], { cwd: consumer, stdio: 'inherit' });
  say('installed into an empty folder with scripts off');
  return consumer;
}

/** The command line contains the code of all dependencies: the licence of each must go with it. */
function checkLicences(consumer: string): void {
  const text = readFileSync(path.join(consumer, 'node_modules/grantry/dist/cli/THIRD-PARTY-LICENSES.txt'), 'utf8');
  const sections = text.split(/^-{80}$/m);
  const bundled = dependenciesOf(consumer, 'grantry');
  const missing = bundled.filter(
    (name) => !sections.some((section) => section.includes(`\n${name} `) && /copyright/i.test(section)),
  );
  if (missing.length > 0) throw new Error(`the licence is missing: ${missing.join(', ')}`);
  say(`the licences of ${bundled.length} bundled packages are there`);
}

/** The packages that npm installs with a package, at any depth. */
function dependenciesOf(consumer: string, top: string): string[] {
  const found = new Set<string>();
  const follow = (name: string): void => {
    const { dependencies = {} }: { dependencies?: Record<string, string> } = JSON.parse(
      readFileSync(path.join(consumer, 'node_modules', name, 'package.json'), 'utf8'),
    );
    for (const next of Object.keys(dependencies)) {
      if (found.has(next)) continue;
      found.add(next);
      follow(next);
    }
  };
  follow(top);
  return [...found];
}

function loadExports(consumer: string): void {
  for (const name of exportNames()) {
    const program = `const names = Object.keys(await import('${name}')); if (!names.length) process.exit(1);`;
    execFileSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: consumer, stdio: 'inherit' });
    say(`${name} loads`);
  }
}

/**
 * Checks with the strictest settings of a consumer, the libraries' own declarations included. Drizzle's own
 * declarations fail that check, so the exports built on them are checked without it.
 */
function checkTypes(consumer: string): void {
  const onDrizzle = (name: string): boolean => name.endsWith('/drizzle');
  // As Node.js finds the modules, and as bundlers do.
  for (const resolution of [{ module: 'NodeNext' }, { module: 'ESNext', moduleResolution: 'Bundler' }]) {
    const names = exportNames();
    checkTypesOf(
      consumer,
      names.filter((name) => !onDrizzle(name)),
      { ...resolution, skipLibCheck: false },
    );
    checkTypesOf(consumer, names.filter(onDrizzle), { ...resolution, skipLibCheck: true });
  }
  say('the types hold for a strict consumer');
}

function checkTypesOf(consumer: string, names: readonly string[], options: object): void {
  const lines = names.map((name, index) => `export * as part${index} from '${name}';`);
  const call =
    "import { GrantryError, openVault } from 'grantry';\nexport const vault = openVault({});\nexport { GrantryError };";
  writeFileSync(path.join(consumer, 'consumer.ts'), [...lines, call, ''].join('\n'));
  const compilerOptions = {
    target: 'ES2024',
    lib: ['ES2024', 'ESNext.Disposable'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    noEmit: true,
    ...options,
  };
  writeFileSync(path.join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  execFileSync(`${root}node_modules/.bin/tsc`, ['-p', 'tsconfig.json'], { cwd: consumer, stdio: 'inherit' });
}

function runCommand(consumer: string): void {
  const printed = execFileSync('node_modules/.bin/grantry', ['--version'], {
    cwd: consumer,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}` },
  }).trim();
  if (printed !== manifest.version) throw new Error(`grantry --version printed ${JSON.stringify(printed)}`);
  say(`grantry --version prints ${printed}`);
}

/** Serves where only the package itself is found: some installers hide the packages of packages. */
async function serve(consumer: string): Promise<void> {
  const alone = path.join(folder, 'alone', 'node_modules', 'grantry');
  cpSync(path.join(consumer, 'node_modules', 'grantry'), alone, { recursive: true });
  const child = spawn(process.execPath, [path.join(alone, 'bin', 'grantry.js'), 'serve', '--port', '0'], {
    cwd: alone,
    env: { ...process.env, GRANTRY_HOME: path.join(folder, 'home') },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let lines = '';
  for await (const text of child.stderr.setEncoding('utf8')) {
    lines += String(text);
    if (/"message":"listening"/.test(lines)) child.kill('SIGTERM');
  }
  if (!lines.includes('"message":"listening"')) throw new Error(`grantry serve does not start:\n${lines}`);
  say('grantry serve starts without any other package');
}

function exportNames(): string[] {
  const subpaths = Object.keys(manifest.exports).filter((name) => !/\.(?:json|toml)$/.test(name));
  return subpaths.map((name) => (name === '.' ? 'grantry' : `grantry/${name.slice(2)}`));
}

function run(name: string, binary: string, args: string[]): void {
  execFileSync(`${root}node_modules/.bin/${binary}`, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  say(`${name}: ok`);
}

function say(text: string): void {
  process.stdout.write(`  ${text}\n`);
}
