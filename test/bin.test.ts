import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

// The machine's own Node.js, where it has an older one; npm scripts run on a newer.
const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find((file) => existsSync(file) && majorOf(file) < 24);

let folder = '';
let home = '';

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'grantry-bin-'));
  home = path.join(folder, 'home');
  mkdirSync(path.join(folder, 'bin'));
  for (const file of ['grantry.js', 'package.json']) copyFileSync(`bin/${file}`, path.join(folder, 'bin', file));
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.skipIf(oldNode === undefined)('an old Node.js gets one clear line and exit code 1', () => {
  build();
  const { status, stdout, stderr } = run([], { node: oldNode });
  expect(stderr).toMatch(/^grantry needs Node\.js 24 or newer; this is v\d+\.\d+\.\d+\.\n$/);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
});

test('is written in a language that Node.js 12 parses', () => {
  // Each of these came with Node.js 14 or later.
  expect(source()).not.toMatch(/\?\?|\?\.|^\s*await |from 'node:|#\w+ *=|\|\|=|&&=/m);
});

test('a clone that is not built says so', () => {
  const { status, stderr } = run([]);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: `grantry is not built yet: run "npm run build" in ${folder}.\n`,
  });
});

describe('compiled code', () => {
  beforeEach(() => build());

  test('is kept in the home', () => {
    mkdirSync(home, { mode: 0o700 });
    expect(run([]).stdout).toBe('ran\n');
    expect(readdirSync(home)).toEqual(['cache']);
    expect(run([]).stdout).toBe('ran\n');
  });

  test('is kept in the home that --home names, but not in one that belongs to a child', () => {
    const other = path.join(folder, 'other');
    mkdirSync(other, { mode: 0o700 });
    expect(run(['exec', 'acme', '--', 'tool', '--home', other]).stdout).toBe('ran\n');
    expect(readdirSync(other)).toEqual([]);
    expect(run([`--home=${other}`, 'list']).stdout).toBe('ran\n');
    expect(readdirSync(other)).toEqual(['cache']);
  });

  test('makes no home', () => {
    expect(run([]).stdout).toBe('ran\n');
    expect(existsSync(home)).toBe(false);
  });

  test('stays out of a home that others may write', () => {
    mkdirSync(home);
    chmodSync(home, 0o777);
    expect(run([]).stdout).toBe('ran\n');
    expect(readdirSync(home)).toEqual([]);
  });

  test('stays out of a directory that others may write', () => {
    mkdirSync(path.join(home, 'cache'), { recursive: true, mode: 0o700 });
    chmodSync(home, 0o700);
    chmodSync(path.join(home, 'cache'), 0o777);
    expect(run([]).stdout).toBe('ran\n');
    expect(readdirSync(path.join(home, 'cache'))).toEqual([]);
  });

  test('stays out of a directory that is a link to another', () => {
    mkdirSync(home, { mode: 0o700 });
    mkdirSync(path.join(folder, 'elsewhere'), { mode: 0o700 });
    symlinkSync(path.join(folder, 'elsewhere'), path.join(home, 'cache'));
    expect(run([]).stdout).toBe('ran\n');
    expect(readdirSync(path.join(folder, 'elsewhere'))).toEqual([]);
  });

  test('of another program with the same name and length is not run', () => {
    mkdirSync(home, { mode: 0o700 });
    expect(run([]).stdout).toBe('ran\n');
    build('new');
    expect(run([]).stdout).toBe('new\n');
    expect(run([]).stdout).toBe('new\n');
  });

  test('that is damaged is not run, and is replaced', () => {
    const file = keepCode();
    const whole = readFileSync(file);
    // Behind what V8 compares.
    const damaged = Buffer.from(whole).fill(0, whole.length - 64);
    for (const bytes of [damaged, whole.subarray(0, 40), Buffer.alloc(0)]) {
      writeFileSync(file, bytes);
      expect(run([])).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
      expect(readFileSync(file)).not.toEqual(bytes);
    }
  });

  describe('that another user could have put there is not run', () => {
    const owners: [string, (file: string) => void][] =
      process.getuid?.() === 0 ? [['of another owner', (file) => chownSync(file, 65_534, 65_534)]] : [];
    test.for<[string, (file: string) => void]>([
      ['writable by all', (file) => chmodSync(file, 0o666)],
      ['writable by the group', (file) => chmodSync(file, 0o620)],
      ['a symbolic link', (file) => (renameSync(file, `${file}.real`), symlinkSync(`${file}.real`, file))],
      ['a hard link', (file) => linkSync(file, path.join(folder, 'second-name'))],
      ...owners,
    ])('%s', ([, plant]) => {
      const file = keepCode();
      // V8 takes code of a program of the same length for that of the main file.
      build('bad');
      run([]);
      const other = readdirSync(path.dirname(file)).find((name) => name !== path.basename(file)) ?? '';
      copyFileSync(path.join(path.dirname(file), other), file);
      build();
      expect(run([]).stdout).toBe('bad\n');
      plant(file);
      expect(run([])).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
    });
  });

  test('of old versions is removed, and files of other programs stay', () => {
    const cache = path.join(home, 'cache');
    mkdirSync(path.join(cache, 'folder'), { recursive: true, mode: 0o700 });
    chmodSync(home, 0o700);
    const old = `main-${'0'.repeat(32)}-14.2.bin`;
    for (const name of [old, `${old}.123`, 'main.bin', 'photo.jpg', 'folder']) {
      if (name !== 'folder') writeFileSync(path.join(cache, name), '');
      utimesSync(path.join(cache, name), 1, 1);
    }
    // As 0.1.0 named them.
    for (const name of ['main.cjs-14.6.202.34-node.32.bin', 'refresh-Bx_a-1Zq.cjs-13.6.233.17-node.41.bin'])
      writeFileSync(path.join(cache, name), '');
    expect(run([]).stdout).toBe('ran\n');
    const left = readdirSync(cache).toSorted();
    expect(left).toEqual(['folder', expect.stringMatching(/^main-[0-9a-f]{64}-/), 'main.bin', 'photo.jpg']);
  });

  test('lets the main file be required by the other files, once', () => {
    mkdirSync(home, { mode: 0o700 });
    build('ran', "exports.word = 'main'; require('./other.cjs');");
    writeFileSync(path.join(folder, 'dist/cli/other.cjs'), "process.stdout.write(require('./main.cjs').word);\n");
    for (const _ of [1, 2]) expect(run([])).toMatchObject({ stdout: 'ran\nmain', stderr: '' });
  });

  test('does without a home that is a file', () => {
    writeFileSync(home, '');
    expect(run([])).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
  });
});

/** Runs the program once and returns the file of its compiled code. */
function keepCode(): string {
  mkdirSync(home, { mode: 0o700 });
  run([]);
  const [name = ''] = readdirSync(path.join(home, 'cache'));
  return path.join(home, 'cache', name);
}

function build(word = 'ran', more = ''): void {
  mkdirSync(path.join(folder, 'dist', 'cli'), { recursive: true });
  writeFileSync(path.join(folder, 'dist', 'cli', 'main.cjs'), `process.stdout.write('${word}\\n');\n${more}`);
}

function run(args: string[], options: { node?: string | undefined } = {}) {
  const { NODE_COMPILE_CACHE: _, NODE_OPTIONS: __, ...environment } = process.env;
  return spawnSync(options.node ?? process.execPath, [path.join(folder, 'bin', 'grantry.js'), ...args], {
    encoding: 'utf8',
    env: { ...environment, GRANTRY_HOME: home },
  });
}

function source(): string {
  return readFileSync('bin/grantry.js', 'utf8');
}

function majorOf(node: string): number {
  return Number(/^v(\d+)/.exec(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? Number.NaN);
}
