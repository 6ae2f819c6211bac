import { execFileSync, spawn } from 'node:child_process';
import { type KeyObject, randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { systemWorld } from '../base/system-world.ts';
import { loadRootKey, parseRootKeySource } from './root-key.ts';
import { createRootKeyFile } from './root-key-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'grantry-root-key-'));
afterAll(() => rmSync(folder, { recursive: true }));

function module(name: string): string {
  return JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));
}

let count = 0;
function newPath(): string {
  count += 1;
  return join(folder, `${count}.key`);
}

function writeKey(text: string, mode = 0o600): string {
  const path = newPath();
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
}

function load(source: string): Promise<KeyObject> {
  return loadRootKey(parseRootKeySource(source));
}

/** Returns the error's message and action, after a check that neither shows the key or a program's output. */
async function refusal(source: string, ...never: string[]): Promise<string> {
  const error = await load(source).then(
    () => new Error('it was accepted'),
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'GrantryError', code: 'vault_sealed' });
  const shown = inspect(error, { showHidden: true, depth: 9 });
  for (const text of never) expect(shown).not.toContain(text);
  return error instanceof Error && 'action' in error ? `${error.message} ${String(error.action)}` : '';
}

const key = randomBytes(32);
const text = key.toString('base64');

describe('file:', () => {
  test('gives the key, in either alphabet, with or without a line end, also through a link', async () => {
    for (const form of [text, `${text}\n`, `${key.toString('base64url')}\r\n`]) {
      const path = writeKey(form);
      symlinkSync(path, `${path}.link`);
      expect((await load(`file:${path}`)).export()).toEqual(key);
      expect((await load(`file:${path}.link`)).export()).toEqual(key);
    }
    const readOnly = writeKey(text, 0o400);
    expect((await load(`file:${readOnly}`)).export()).toEqual(key);
  });

  test.each(['640', '604', '660', '601', '644', '620'])(
    'is refused with mode %s, and says what to run',
    async (octal) => {
      const mode = Number.parseInt(octal, 8);
      const path = writeKey(text, mode);
      expect(await refusal(`file:${path}`, text)).toContain(`chmod 600 ${path}`);
      const odd = join(folder, `it's ${octal}`);
      writeFileSync(odd, text);
      chmodSync(odd, mode);
      execFileSync('sh', ['-c', (await refusal(`file:${odd}`)).replace(/^.*Run: /, '')]);
      expect((await load(`file:${odd}`)).export()).toEqual(key);
    },
  );

  test('is refused when missing, not a file, too long or no key, and named', async () => {
    const missing = newPath();
    expect(await refusal(`file:${missing}`)).toContain(`${missing} does not exist`);
    mkdirSync(join(folder, 'directory'), { mode: 0o700 });
    expect(await refusal(`file:${join(folder, 'directory')}`)).toContain('not a regular file');
    const pipe = newPath();
    execFileSync('mkfifo', ['-m', '600', pipe]);
    expect(await refusal(`file:${pipe}`)).toContain('not a regular file');
    expect(await refusal(`file:${writeKey('')}`)).toContain('is empty');
    for (const wrong of ['FAKE is no key', text.repeat(60), `${text}\n${text}`, `key=${text}`]) {
      expect(await refusal(`file:${writeKey(wrong)}`, wrong, text)).toContain('does not hold 32 bytes');
    }
  });

  test('is refused with a weak key', async () => {
    const phrase = Buffer.from('FAKE-passphrase-of-32-characters');
    expect(await refusal(`file:${writeKey(phrase.toString('base64'))}`, String(phrase))).toContain('is text');
    expect(await refusal(`file:${writeKey(Buffer.alloc(32).toString('base64'))}`)).toContain('openssl rand -base64 32');
    expect(await refusal(`file:${writeKey(randomBytes(16).toString('base64'))}`)).toContain('16 bytes instead of 32');
  });
});

describe('env:', () => {
  test('gives the key, deletes the variable, remembers the key, and reads it again when set again', async () => {
    process.env['GRANTRY_TEST_KEY'] = text;
    expect((await load('env:GRANTRY_TEST_KEY')).export()).toEqual(key);
    expect(process.env['GRANTRY_TEST_KEY']).toBeUndefined();
    expect((await load('env:GRANTRY_TEST_KEY')).export()).toEqual(key);
    const other = randomBytes(32);
    process.env['GRANTRY_TEST_KEY'] = other.toString('base64url');
    expect((await load('env:GRANTRY_TEST_KEY')).export()).toEqual(other);
  });

  test('is refused when missing, empty or weak', async () => {
    expect(await refusal('env:GRANTRY_TEST_NO_KEY')).toContain('GRANTRY_TEST_NO_KEY is not set');
    process.env['GRANTRY_TEST_NO_KEY'] = '';
    expect(await refusal('env:GRANTRY_TEST_NO_KEY')).toContain('is not set');
    process.env['GRANTRY_TEST_NO_KEY'] = 'FAKE';
    expect(await refusal('env:GRANTRY_TEST_NO_KEY')).toMatch(/has 3 bytes/);
  });
});

describe('fd:', () => {
  test('gives the key of an open file, closes it, and remembers the key', async () => {
    const fd = openSync(writeKey(`${text}\n`), 'r');
    const [one, two] = await Promise.all([load(`fd:${fd}`), load(`fd:${fd}`)]);
    expect([one.export(), two.export()]).toEqual([key, key]);
    const reused = openSync(writeKey('FAKE'), 'r');
    expect(reused).toBe(fd);
    expect((await load(`fd:${fd}`)).export()).toEqual(key);
  });

  test('gives the key from a pipe that its writer keeps open', async () => {
    const script = `import { loadRootKey } from ${module('./root-key.ts')};
      const key = await loadRootKey({ kind: 'fd', fd: 3 });
      process.stdout.write(key.export().toString('base64'));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    });
    const pipe = child.stdio[3];
    if (pipe === null || pipe === undefined || !('write' in pipe)) throw new Error('no pipe');
    pipe.write(text.slice(0, 10));
    setTimeout(() => pipe.write(`${text.slice(10)}\n`), 50);
    let printed = '';
    for await (const chunk of child.stdout ?? []) printed += String(chunk);
    pipe.destroy();
    expect(printed).toBe(text);
  });

  test('is refused when it is not open', async () => {
    expect(await refusal('fd:8191')).toContain('file descriptor 8191 cannot be read (EBADF)');
  });
});

describe('command:', () => {
  const node = `command:"${process.execPath}" -e`;

  test('gives what the program prints, and no shell sees it', async () => {
    const path = writeKey(text);
    expect((await load(`command:cat ${path}`)).export()).toEqual(key);
    expect(await refusal(`command:cat ${path};true`)).toContain('the command cat failed with exit code 1');
    expect(await refusal('command:echo $(cat x)')).toContain('does not hold 32 bytes');
  });

  test('that waits for its input gets the end of it', async () => {
    expect(await refusal('command:cat')).toContain('is empty');
  });

  test('is refused when it is missing, fails or prints too much, without its arguments and words', async () => {
    expect(await refusal('command:grantry-no-such-program FAKE-arg', 'FAKE-arg')).toContain('was not found');
    const noisy = `${node} "process.stdout.write('FAKE-out');process.stderr.write('FAKE-err');process.exitCode=7"`;
    expect(await refusal(noisy, 'FAKE')).toContain('failed with exit code 7');
    expect(await refusal(`${node} "process.stdout.write('FAKE'.repeat(9999))"`, 'FAKE')).toContain('more than a key');
    expect(await refusal(`${node} "process.kill(process.pid,'SIGKILL')"`)).toContain('failed');
    expect(await refusal(`command:${folder}`)).toContain('EACCES');
  });
});

describe('a new root key file', () => {
  test('can be read by its owner only, in a folder of its owner only, and is never changed', async () => {
    const path = join(folder, 'home', 'grantry', 'root.key');
    const made = await createRootKeyFile(path, systemWorld());
    expect(statSync(path).mode & 0o7777).toBe(0o600);
    expect(statSync(join(folder, 'home')).mode & 0o077).toBe(0);
    const before = readFileSync(path, 'utf8');
    expect(before).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect((await createRootKeyFile(path, systemWorld())).export()).toEqual(made.export());
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(join(folder, 'home', 'grantry'))).toEqual(['root.key']);
  });

  test('is not made from weak random bytes, and a file without a key is refused, not replaced', async () => {
    const zeros = { ...systemWorld(), randomBytes: (bytes: number) => new Uint8Array(bytes) };
    await expect(createRootKeyFile(newPath(), zeros)).rejects.toMatchObject({ code: 'internal' });
    const path = writeKey('FAKE');
    await expect(createRootKeyFile(path, systemWorld())).rejects.toMatchObject({ code: 'vault_sealed' });
    expect(readFileSync(path, 'utf8')).toBe('FAKE');
    const below = join(path, 'root.key');
    await expect(createRootKeyFile(below, systemWorld())).rejects.toMatchObject({ code: 'vault_sealed' });
  });

  test('is the same for eight processes that race to make it', async () => {
    const paths = Array.from({ length: 10 }, (_, round) => join(folder, `race-${round}`, 'root.key'));
    // All processes begin each round at the same moment; each reports its key as a hash.
    const script = `import { createHash } from 'node:crypto';
      import { createRootKeyFile } from ${module('./root-key-file.ts')};
      import { systemWorld } from ${module('../base/system-world.ts')};
      const paths = ${JSON.stringify(paths)};
      process.stdout.write('ready ');
      const [start] = await Array.fromAsync(process.stdin);
      for (const [round, path] of paths.entries()) {
        while (Date.now() < Number(start) + round * 100);
        const key = await createRootKeyFile(path, systemWorld());
        process.stdout.write(createHash('sha256').update(key.export()).digest('hex') + ' ');
      }`;
    const children = Array.from({ length: 8 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout.once('readable', resolve))));
    const start = Date.now() + 100;
    const answers = children.map(async (child) => {
      child.stdin.end(String(start));
      let printed = '';
      for await (const chunk of child.stdout) printed += String(chunk);
      return printed.trim().split(' ').slice(1);
    });
    const found = await Promise.all(answers);
    for (const [round, path] of paths.entries()) {
      const keys = new Set(found.map((one) => one[round]));
      expect([...keys]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
      expect(readdirSync(join(path, '..'))).toEqual(['root.key']);
    }
    expect(new Set(found[0]).size).toBe(paths.length);
  });
});
