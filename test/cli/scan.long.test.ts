/** `grantry scan` in real git repositories. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { shared } from '../support/broker.ts';
import { Home, type Run } from './grantry.ts';

const hex = '0123456789abcdef';
/** Put together here: a scan of this repository must not find it. */
const tokenOf = (last: string): string => ['1000', hex + hex, hex + hex.slice(1) + last].join('.');
const token = tokenOf('1');
const quietGit = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
};

let home: Home;
let folder = '';

beforeEach(async () => {
  home = await Home.make();
  folder = join(home.path, 'repository');
  mkdirSync(folder);
  // Where secretlint is installed.
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  git('init', '--quiet');
  write('.gitignore', 'node_modules\nignored.txt\n');
});

afterEach(async () => home[Symbol.asyncDispose]());

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8', env: { ...process.env, ...quietGit } });
}

function write(file: string, text: string): void {
  writeFileSync(join(folder, file), text);
}

function commit(): void {
  git('add', '--all');
  git('commit', '--quiet', '--no-verify', '--message', 'one');
}

async function scan(...args: string[]): Promise<Run> {
  return home.run(['scan', ...args], { cwd: folder, env: quietGit });
}

interface Printed {
  findings: { file: string; line: number; rule: string; sha256: string; fingerprint: string }[];
  allowed: object[];
  expired: object[];
  files: number;
  passed_over: number;
}

async function scanJson(...args: string[]): Promise<Printed> {
  // The printed form, as the documents have it.
  return JSON.parse((await scan('--json', ...args)).stdout) as Printed;
}

describe('the files of a directory', () => {
  test('a finding names file, line and rule, and not the secret; the exit code is 8', async () => {
    write('clean.txt', 'nothing\n');
    write('notes.md', `one\ntwo ${token}\n`);
    write('ignored.txt', token);
    const { code, stdout, stderr } = await scan();
    expect(code).toBe(8);
    expect(stdout).toMatch(/^notes\.md:2 {2}grantry\/zoho_token {2}[0-9a-f]{8}\n$/);
    expect(stderr).toContain('3 files scanned: 1 finding.');
    expect(stdout + stderr).not.toContain(hex);
  });

  test('a clean directory ends with 0, also without git', async () => {
    expect(await scan()).toMatchObject({ code: 0, stdout: '' });
    rmSync(join(folder, '.git'), { recursive: true });
    expect(await scan()).toMatchObject({ code: 0, stdout: '' });
    write('notes.md', token);
    expect((await scan()).code).toBe(8);
  });

  test('a named file is scanned, also one that git ignores; a missing one is a mistake', async () => {
    write('ignored.txt', token);
    expect((await scan()).code).toBe(0);
    expect((await scan('ignored.txt')).stdout).toContain('ignored.txt:1');
    expect(await scan('missing.txt')).toMatchObject({ code: 2 });
  });

  test('the recommended rules of secretlint find other secrets', async () => {
    write('a.conf', ['url = postgres:/', '/ada:', 'Zk3vQ9xT7bLm', '@db.internal/crm\n'].join(''));
    const { findings } = await scanJson();
    expect(findings.map(({ rule }) => rule)).toEqual([expect.stringMatching(/^secretlint-rule-.*PostgreSQL/)]);
  });

  test('without secretlint, one sentence says how to install it', async () => {
    rmSync(join(folder, 'node_modules'));
    const { code, stderr } = await scan();
    expect(code).toBe(3);
    expect(stderr).toContain('npm install --save-dev secretlint @secretlint/secretlint-rule-preset-recommend');
  });
});

describe('the index', () => {
  test('is scanned as it is, not as the working copy is', async () => {
    write('a.txt', token);
    git('add', 'a.txt');
    write('a.txt', 'clean now\n');
    expect((await scan()).code).toBe(0);
    const staged = await scan('--staged');
    expect(staged).toMatchObject({ code: 8 });
    expect(staged.stdout).toMatch(/^a\.txt:1 {2}grantry\/zoho_token {2}[0-9a-f]{8} {2}blob [0-9a-f]{12}\n$/);
  });

  test('a change that is not staged, and a file that is deleted, are none of it', async () => {
    write('old.txt', token);
    write('b.txt', 'clean\n');
    commit();
    git('rm', '--quiet', 'old.txt');
    write('b.txt', token);
    expect(await scan('--staged')).toMatchObject({ code: 0, stdout: '' });
  });
});

describe('the history', () => {
  test('has what was deleted, and what only another branch has, once each', async () => {
    write('a.txt', `${token}\n`);
    commit();
    write('a.txt', `${token}\nmore\n`);
    commit();
    git('switch', '--quiet', '--create', 'other');
    write('größe b.txt', `x\n${tokenOf('2')}\n`);
    commit();
    git('switch', '--quiet', '-');
    rmSync(join(folder, 'a.txt'));
    commit();
    expect((await scan()).code).toBe(0);
    const { findings } = await scanJson('--history');
    const places = findings.map(({ file, line }) => `${file}:${line}`);
    expect(places.toSorted()).toEqual(['a.txt:1', 'größe b.txt:2']);
    expect((await scan('--history', 'a.txt')).stdout).not.toContain('b.txt');
  });

  test('with large and binary files is read in step', async () => {
    write('large.txt', `${'x'.repeat(99)}\n`.repeat(30_000) + token);
    writeFileSync(join(folder, 'picture.bin'), Buffer.alloc(300_000));
    write('empty.txt', '');
    write('last.txt', token);
    commit();
    const { findings, files, passed_over } = await scanJson('--history');
    expect(findings.map(({ file, line }) => `${file}:${line}`).toSorted()).toEqual(['large.txt:30001', 'last.txt:1']);
    // .gitignore, the empty file, and the two with a secret; the picture has no text.
    expect({ files, passed_over }).toEqual({ files: 4, passed_over: 1 });
  });

  test('without the program git is not scanned', async () => {
    const { code, stderr } = await home.run(['scan', '--history'], { cwd: folder, env: { PATH: '/nowhere' } });
    expect(code).toBe(3);
    expect(stderr).toContain('The program git is not found.');
  });

  test('outside of git is a mistake', async () => {
    rmSync(join(folder, '.git'), { recursive: true });
    const { code, stderr } = await scan('--history');
    expect(code).toBe(2);
    expect(stderr).toContain('may not be a git repository');
  });
});

test('an allowed finding does not count, and an expired entry is named', async () => {
  write('a.txt', token);
  const [finding] = (await scanJson()).findings;
  const entry = { file: 'a.txt', sha256: [finding?.sha256], reason: 'made up for a test' };
  write('.grantry-scan.json', JSON.stringify({ allowed: [{ ...entry, expires: '2199-01-01' }] }));
  expect(await scan()).toMatchObject({ code: 0, stdout: '' });
  expect((await scanJson()).allowed).toHaveLength(1);
  write('.grantry-scan.json', JSON.stringify({ allowed: [{ ...entry, expires: '2001-01-01' }] }));
  const expired = await scan();
  expect(expired.code).toBe(8);
  expect(expired.stderr).toContain(`Expired on 2001-01-01 in .grantry-scan.json: a.txt ${finding?.fingerprint}`);
});

describe('the hook', () => {
  /** Commits with the command `grantry` on the path. */
  async function commitWithHook(): Promise<{ status: number | null; stderr: string }> {
    const bin = join(home.path, 'bin');
    mkdirSync(bin, { recursive: true });
    const main = await shared('command line');
    writeFileSync(join(bin, 'grantry'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
    chmodSync(join(bin, 'grantry'), 0o755);
    const env = { ...process.env, ...quietGit, HOME: home.path, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    return spawnSync('git', ['commit', '--quiet', '--message', 'one'], { cwd: folder, encoding: 'utf8', env });
  }

  test('refuses a commit with a secret and lets a clean one pass', async () => {
    expect(await scan('--install-hook')).toMatchObject({ code: 0 });
    write('a.txt', token);
    git('add', 'a.txt');
    expect((await commitWithHook()).status).not.toBe(0);
    write('a.txt', 'clean\n');
    git('add', 'a.txt');
    expect(await commitWithHook()).toMatchObject({ status: 0 });
    expect(git('log', '--format=%s')).toBe('one\n');
  });

  test('is installed once, and brought up to date', async () => {
    const file = join(folder, '.git/hooks/pre-commit');
    expect((await scan('--install-hook')).stdout).toContain('Wrote the hook');
    const text = readFileSync(file, 'utf8');
    expect((await scan('--install-hook')).stdout).toContain('is up to date');
    writeFileSync(file, text.replace('exit 1', 'exit 0'));
    expect((await scan('--install-hook')).stdout).toContain('Wrote the hook');
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('of another program stays, and the command says which line to add', async () => {
    const file = join(folder, '.git/hooks/pre-commit');
    mkdirSync(join(folder, '.git/hooks'), { recursive: true });
    writeFileSync(file, '#!/bin/sh\nexit 0\n');
    const { code, stderr } = await scan('--install-hook');
    expect(code).toBe(2);
    expect(stderr).toContain('grantry scan --staged');
    expect(readFileSync(file, 'utf8')).toBe('#!/bin/sh\nexit 0\n');
  });

  test('goes where git looks for it', async () => {
    git('config', 'core.hooksPath', '.hooks');
    await scan('--install-hook');
    expect(existsSync(join(folder, '.hooks/pre-commit'))).toBe(true);
  });
});
