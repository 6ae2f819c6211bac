/** The log of `grantry serve`: JSON lines on stderr, and nothing else. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home, type Run } from './grantry.ts';

/** Starts a server, ends it once its log holds `until`, and returns its lines. */
async function serve(home: Home, env: Record<string, string>, until: string, more: readonly string[] = []) {
  let stop: (signal: NodeJS.Signals) => void = () => {};
  let seen = false;
  const run = await home.run(['serve', '--port', '0', '--no-workers', ...more], {
    env,
    onStarted: (kill) => {
      stop = kill;
    },
    onStderr: (text) => {
      if (seen || !text.includes(until)) return;
      seen = true;
      stop('SIGTERM');
    },
  });
  return { run, lines: jsonLines(run) };
}

function jsonLines({ stderr }: Run): Record<string, unknown>[] {
  return stderr
    .trimEnd()
    .split('\n')
    .map((line) => {
      const value: unknown = JSON.parse(line);
      if (typeof value !== 'object' || value === null) throw new TypeError(`no log line: ${line}`);
      return { ...value };
    });
}

test('a first start is JSON lines, which say what is missing and what is unsafe', async () => {
  await using home = await Home.make();
  const env = { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1' };
  const { run, lines } = await serve(home, env, '"listening"', ['--host', '0.0.0.0']);
  expect(run).toMatchObject({ code: 0, stdout: '' });
  const find = (message: RegExp) => lines.find((line) => message.test(String(line['message'])));
  expect(find(/^providers may be on http/)).toMatchObject({
    level: 'warn',
    switch: 'GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS',
  });
  expect(find(/no admin key yet/)?.['action']).toBe('Make one: grantry key create NAME --role admin');
  expect(find(/no public URL is named/)?.['level']).toBe('warn');
  expect(find(/^listening$/)?.['public_url']).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test('once there is a key and no unsafe switch, neither is mentioned', async () => {
  await using home = await Home.make();
  await home.run(['init']);
  await home.run(['key', 'create', 'ops', '--role', 'admin']);
  const { lines } = await serve(home, {}, '"listening"');
  expect(lines.map((line) => line['message'])).toEqual(['listening', 'stopping', 'stopped']);
});

test('an sslmode brings no warning of the database driver', async () => {
  await using home = await Home.make();
  await home.run(['init']);
  const database = 'postgres://nobody@127.0.0.1:1/none?sslmode=require';
  const { run, lines } = await serve(home, { GRANTRY_DATABASE: database }, 'cannot be opened yet');
  expect(lines.filter((line) => /SSL modes/.test(String(line['message'])))).toEqual([]);
  expect(run.code).toBe(0);
});

test('a server that does not start says so in a JSON line', async () => {
  await using home = await Home.make();
  const run = await home.run(['serve', '--port', '99999']);
  expect(run.code).toBe(2);
  expect(jsonLines(run)).toMatchObject([
    { level: 'error', message: 'the server does not start', code: 'invalid_request' },
  ]);
});

test.each([
  ['that others may read', 'gry_life-of-a-process-7Qm2xK9vRt4bZ', 0o644, 'is accessible to other users'],
  ['that is empty', '\n', 0o600, 'is empty'],
  ['with a key that can be guessed', `gry_${'a'.repeat(40)}`, 0o600, 'can be guessed'],
  ['with something else', 'hunter2', 0o600, 'does not hold a key'],
])('an admin key file %s is refused', async (_, text, mode, why) => {
  await using home = await Home.make();
  await home.run(['init']);
  const file = join(home.path, 'admin.key');
  await writeFile(file, text);
  await chmod(file, mode);
  const run = await home.run(['serve', '--port', '0'], { env: { GRANTRY_ADMIN_KEY_FILE: file } });
  expect(run.code).toBe(2);
  expect(jsonLines(run).at(-1)?.['detail']).toContain(why);
  if (text.trim() !== '') expect(run.stderr).not.toContain(text.trim());
});

test('SIGUSR1, which log rotation sends, opens no debugger', async () => {
  await using home = await Home.make();
  let sent = false;
  let kill: (signal: NodeJS.Signals) => void = () => {};
  const run = await home.run(['serve', '--port', '0'], {
    onStarted: (send) => {
      kill = send;
    },
    onStderr: (text) => {
      if (sent || !text.includes('"listening"')) return;
      sent = true;
      kill('SIGUSR1');
      setTimeout(() => kill('SIGTERM'), 300);
    },
  });
  expect(run).toMatchObject({ code: 0, signal: null });
  expect(run.stderr).not.toContain('Debugger');
});
