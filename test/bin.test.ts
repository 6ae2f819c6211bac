import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
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
  beforeEach(build);

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

  test('does without a home that is a file', () => {
    writeFileSync(home, '');
    expect(run([])).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
  });
});

function build(): void {
  mkdirSync(path.join(folder, 'dist', 'cli'), { recursive: true });
  writeFileSync(path.join(folder, 'dist', 'cli', 'main.cjs'), "process.stdout.write('ran\\n');\n");
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
