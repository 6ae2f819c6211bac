/** Every command with wrong, missing, oversized and hostile arguments: a typed error, nothing changed, never a stack. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Home, type RunOptions } from './grantry.ts';

const long = 'a'.repeat(5_000);
const huge = 'x'.repeat(300_000);
/** Names that try to be something else. */
const hostile = [
  "'; drop table oauth_tokens; --",
  '../../etc/passwd',
  '-rf',
  '\u001b[2J',
  'a\nb',
  '$(id)',
  'é',
  '',
  'ａcme',
  '__proto__!',
];

let home: Home;
let before: string;

beforeAll(async () => {
  home = await Home.make();
  await mkdir(join(home.path, 'folder'));
  await mkdir(join(home.path, 'empty'));
  const files: Record<string, string | Uint8Array> = {
    'secret.txt': 'a-client-secret',
    'blank.txt': ' \n',
    'binary.bin': Uint8Array.of(0, 1, 2, 255),
    'huge.txt': huge,
    'not.json': '{"id": hunter2',
    'array.json': '[]',
    'half.json': '{"id":"half"}',
    'taken.json':
      '{"id":"zoho_crm","endpoints":{"token":"https://evil.example/token"},"api":{"hosts":["https://evil.example"]}}',
    'http.json':
      '{"id":"plain","endpoints":{"token":"http://evil.example/token"},"api":{"hosts":["http://evil.example"]}}',
    'loop.json':
      '{"id":"loop","endpoints":{"token":"http://127.0.0.1:9/token"},"api":{"hosts":["http://127.0.0.1:9"]}}',
    'unknown.json':
      '{"id":"u","endpoints":{"token":"https://a.example/t"},"api":{"hosts":["https://a.example"]},"extra":1}',
    'good.env': 'ZOHO_CLIENT_ID=1\nZOHO_CLIENT_SECRET=hunter2\nZOHO_REFRESH_TOKEN=hunter2\n',
    'mars.env': 'ZOHO_DC=mars\nZOHO_CLIENT_ID=1\nZOHO_CLIENT_SECRET=hunter2\nZOHO_REFRESH_TOKEN=hunter2\n',
    'no-token.env': 'ZOHO_CLIENT_ID=1\n',
    'no-client.env': 'ZOHO_REFRESH_TOKEN=hunter2\n',
    'garbage.env': 'hunter2\n',
    'spaces.env': 'ZOHO_CLIENT_ID=1\nZOHO_CLIENT_SECRET="hunter 2"\nZOHO_REFRESH_TOKEN=hunter2\n',
    'folder/a b.env': 'ZOHO_REFRESH_TOKEN=hunter2\n',
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(home.path, name), content);
  for (const args of [
    ['init'],
    ['app', 'add', 'one', '--provider', 'zoho_crm', '--client-id', '1', '--client-secret-file', 'secret.txt'],
    ['use', 'acme', '--new'],
  ]) {
    const made = await home.run(args);
    expect([made.stderr, made.code]).toEqual([expect.any(String), 0]);
  }
  before = await state();
});

afterAll(async () => {
  expect(await state(), 'what was there before').toBe(before);
  await home[Symbol.asyncDispose]();
});

/** Everything that a command could have changed. */
async function state(): Promise<string> {
  const lists = await Promise.all(
    ['list', 'app list', 'provider list', 'use'].map((words) => home.run([...words.split(' '), '--json'])),
  );
  const names = await readdir(home.path, { recursive: true });
  const kept = names.filter((name) => !/^home\/(cache|grantry\.db-)/.test(name)).sort();
  return JSON.stringify([
    lists.map((run) => run.stdout),
    kept,
    await readFile(join(home.path, 'home/root.key'), 'utf8'),
  ]);
}

const app = ['app', 'add', 'two', '--provider', 'zoho_crm', '--client-id', '1'];
const withSecret = [...app, '--client-secret-file', 'secret.txt'];
const codeOf = {
  invalid_request: 2,
  payload_too_large: 2,
  not_found: 3,
  grant_not_found: 3,
  unauthorized: 1,
  vault_sealed: 7,
  storage_unavailable: 5,
};

type Row = readonly [args: readonly string[], code: keyof typeof codeOf, options?: RunOptions];
const invalid = (args: readonly string[], options?: RunOptions): Row => [args, 'invalid_request', options ?? {}];

const rows: readonly Row[] = [
  // Nothing that could be understood.
  invalid(['nonsense']),
  invalid(['serve', '--port', '70000']),
  invalid(['serve', '--port', 'hunter2']),
  invalid(['serve', 'extra']),
  invalid(['key', 'create', 'x']),
  invalid(['key', 'create', 'x', '--role', 'root']),
  invalid(['key', 'create', 'x y', '--role', 'admin']),
  invalid(['key', 'create', 'x', '--role', 'admin', '--expires', 'soon']),
  invalid(['adopt']),
  invalid([long]),
  invalid(['--nonsense']),
  invalid(['list', '--nonsense=hunter2']),
  invalid(['list', 'extra']),
  invalid(['app', 'nonsense']),
  invalid(['provider', 'nonsense']),
  // Missing arguments.
  ...[
    'token',
    'token acme',
    'call',
    'call acme zoho_crm GET',
    'exec',
    'exec acme',
    'show',
    'show acme',
    'connect acme',
    'disconnect acme',
    'import',
    'app add',
    'app show',
    'app remove',
    'provider show',
    'provider add',
    'provider remove',
    'app add x --provider zoho_crm --client-id 1',
    'token acme zoho_crm -t',
  ].map((words) => invalid(words.split(' '))),
  // Names.
  ...hostile.flatMap((name) => [
    invalid(['token', '--', name, 'zoho_crm']),
    ...(name === '-rf' ? [] : [invalid(['show', '--', 'acme', name])]),
  ]),
  invalid(['token', long, 'zoho_crm']),
  invalid(['token', 'acme', long]),
  invalid(['token', 'acme', 'ZOHO_CRM']),
  invalid(['token', 'acme', 'zoho_crm', '--account', 'a b']),
  invalid(['disconnect', 'a b', 'zoho_crm']),
  invalid(['connect', 'acme', 'zoho_crm', '--app', 'a b']),
  invalid(['health', 'a b']),
  invalid(['health', '--account', 'x']),
  invalid(['use', 'a b']),
  invalid(['list', '--tenant', 'a b']),
  invalid(['list', '--provider', 'A']),
  invalid(['list', '--state', 'happy']),
  invalid(['app', 'show', 'a b']),
  invalid(['app', 'remove', '']),
  // Numbers.
  ...['-1', '1.5', '1e3', 'x', '31536001', '99999999999999999999', ''].map((value) =>
    invalid(['token', 'acme', 'zoho_crm', '-t', value]),
  ),
  invalid(['token', 'acme', 'zoho_crm', '--rejected', 'x']),
  invalid(['simulate', '--port', '70000']),
  invalid(['simulate', '--profile', 'nonsense']),
  invalid(['simulate', '--dc', 'mars']),
  // What is not there.
  [['token', 'nobody', 'zoho_crm'], 'grant_not_found'],
  [['token', 'acme', 'zoho_crm', '--json'], 'grant_not_found'],
  [['call', 'acme', 'zoho_crm', 'GET', '/x'], 'grant_not_found'],
  [['exec', 'acme', '--', 'true'], 'grant_not_found'],
  [['show', 'acme', 'zoho_crm'], 'grant_not_found'],
  [['disconnect', 'acme', 'zoho_crm'], 'grant_not_found'],
  [['health', 'acme', 'zoho_crm'], 'grant_not_found'],
  [['app', 'show', 'nothing'], 'not_found'],
  [['app', 'remove', 'nothing'], 'not_found'],
  [['provider', 'show', 'nothing'], 'not_found'],
  [['provider', 'remove', 'nothing'], 'not_found'],
  [['connect', 'acme', 'zoho_books', '--no-open'], 'not_found'],
  [['connect', 'acme', 'zoho_crm', '--app', 'nothing'], 'not_found'],
  // Secrets in the wrong place.
  invalid([...app, '--client-secret', 'hunter2']),
  invalid([...app, '--client-secret=hunter2']),
  invalid(['import', 'good.env', '--tenant', 'acme', '--refresh-token', 'hunter2']),
  invalid(['connect', 'acme', 'zoho_crm', '--code', 'hunter2']),
  // Apps.
  invalid(app),
  [[...app, '--client-secret-file', 'missing.txt'], 'invalid_request'],
  invalid([...app, '--client-secret-file', 'folder']),
  invalid([...app, '--client-secret-file', 'blank.txt']),
  invalid([...app, '--client-secret-file', 'binary.bin']),
  [[...app, '--client-secret-file', 'huge.txt'], 'payload_too_large'],
  [[...app, '--client-secret-file', '-'], 'payload_too_large', { stdin: huge }],
  invalid([...app, '--client-secret-file', '-']),
  invalid([...app, '--client-secret-file', 'mars=secret.txt']),
  invalid([...withSecret, '--client-secret-file', 'secret.txt']),
  invalid([...withSecret, '--dc', 'mars']),
  invalid([...withSecret, '--tenant', 'a b']),
  invalid([...withSecret, '--scope', long]),
  ...[
    'nonsense',
    'http://example.com/x',
    'javascript:alert(1)',
    'https://u:p@example.com/x',
    'http://127.0.0.1:1/x#y',
  ].map((uri) => invalid([...withSecret, '--redirect-uri', uri])),
  [
    ['app', 'add', 'two', '--provider', 'nothing', '--client-id', '1', '--client-secret-file', 'secret.txt'],
    'not_found',
  ],
  invalid(['app', 'add', 'two', '--provider', 'zoho_crm', '--client-id', '', '--client-secret-file', 'secret.txt']),
  invalid(['app', 'add', 'two', '--provider', 'zoho_crm', '--client-id', long, '--client-secret-file', 'secret.txt']),
  // Provider definitions.
  ...[
    'missing.json',
    'folder',
    'not.json',
    'array.json',
    'half.json',
    'taken.json',
    'http.json',
    'loop.json',
    'unknown.json',
    'binary.bin',
  ].map((file) => invalid(['provider', 'add', file])),
  [['provider', 'add', 'huge.txt'], 'payload_too_large'],
  invalid(['provider', 'add', '-'], { stdin: 'null' }),
  invalid(['provider', 'remove', 'zoho_crm']),
  // Connecting.
  invalid(['connect', 'acme', 'zoho_crm', '--code', '-']),
  invalid(['connect', 'acme', 'zoho_crm', '--code', '-', '--paste']),
  invalid(['connect', 'acme', 'zoho_crm', '--dc', 'eu']),
  invalid(['connect', 'acme', 'zoho_crm', '--paste'], { stdin: 'not an address\n' }),
  invalid(['connect', 'acme', 'zoho_crm', '--paste'], { stdin: '' }),
  // Importing.
  invalid(['import', 'good.env']),
  invalid(['import', 'good.env', '--tenant', 'acme', '--tenant-from-name']),
  invalid(['import', 'good.env', '--tenant', 'a b']),
  invalid(['import', 'good.env', '--tenant', 'acme', '--provider', 'X']),
  [['import', 'good.env', '--tenant', 'acme', '--provider', 'nothing'], 'not_found'],
  invalid(['import', 'folder', '--tenant', 'acme']),
  invalid(['import', 'empty', '--tenant-from-name']),
  // Calling.
  invalid(['call', 'acme', 'zoho_crm', 'STEAL', '/x']),
  invalid(['call', 'acme', 'zoho_crm', 'GET', '/x', '-d', '{}']),
  invalid(['call', 'acme', 'zoho_crm', 'GET', '/x', '-H', 'nonsense']),
  invalid(['call', 'acme', 'zoho_crm', 'GET', '/x', '-H', 'Authorization: Bearer hunter2']),
  invalid(['call', 'acme', 'zoho_crm', 'GET', '/x', '-H', 'X: a\r\nAuthorization: b']),
  invalid(['call', 'acme', 'zoho_crm', 'POST', '/x', '-d', '@missing']),
  // Settings.
  invalid(['list'], { env: { GRANTRY_DATABASE: 'mysql://u:hunter2@h/d' } }),
  invalid(['list', '--database', 'postgres://']),
  invalid(['init', '--database', 'sqlite:/nonexistent/place/x.db']),
  [['list', '--database', 'sqlite:/nonexistent/place/x.db'], 'not_found'],
  [['list', '--home', 'nowhere'], 'not_found'],
  invalid(['list', '--root-key', 'hunter2hunter2hunter2hunter2hunter2hunter2h=']),
  invalid(['list', '--log-level', 'loud']),
  invalid(['list', '--home', '']),
  invalid(['list'], { env: { GRANTRY_URL: 'http://vault.example' } }),
  [['list'], 'unauthorized', { env: { GRANTRY_URL: 'http://127.0.0.1:9' } }],
  [['list'], 'storage_unavailable', { env: { GRANTRY_URL: 'http://127.0.0.1:9', GRANTRY_API_KEY: 'gry_x' } }],
  invalid(['serve'], { env: { GRANTRY_URL: 'https://vault.example' } }),
  invalid(['token', '.', 'zoho_crm', '--tenant', 'a b']),
  [['list', '--root-key', 'env:NOT_SET_ANYWHERE'], 'vault_sealed'],
  [['list', '--root-key', 'file:/nonexistent/root.key'], 'vault_sealed'],
  [['list', '--database', 'postgres://127.0.0.1:9/nothing'], 'storage_unavailable'],
];

describe.concurrent('refused', () => {
  test.each(rows.map((row) => [shown(row[0]), row] as const))('%s', async (_, [args, code, options]) => {
    const run = await home.run(args, options);
    const all = run.stdout + run.stderr;
    expect(all, 'a stack trace').not.toMatch(/^\s+at .*[:(]/m);
    expect(all, 'a secret').not.toContain('hunter2');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not reach a terminal
    expect(all, 'a control character').not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f]/);
    expect(all.length, 'a message that repeats what is too long').toBeLessThan(3_000);
    expect(run.stdout).toBe('');
    expect([run.code, run.signal, run.stderr]).toEqual([codeOf[code], null, expect.any(String)]);
    if (args.includes('--json'))
      expect(JSON.parse(run.stderr)).toMatchObject({ code, message: expect.any(String), action: expect.any(String) });
    else if (args[0] === 'serve' && args.includes('--port'))
      expect(JSON.parse(run.stderr), 'a log line of the server').toMatchObject({ level: 'error', code });
    else expect(run.stderr).toMatch(/^grantry: .+\n {9}.+\n$/m);
  });
});

describe('files that are bad, one by one', () => {
  test.each([
    'mars.env',
    'no-token.env',
    'no-client.env',
    'garbage.env',
    'spaces.env',
    'missing.env',
    'binary.bin',
    'huge.txt',
  ])('%s', async (file) => {
    const run = await home.run(['import', file, '--tenant', 'acme', '--json']);
    expect(run.code, run.stderr).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject([
      { file, result: 'failed', error: { code: expect.stringMatching(/^(invalid_request|payload_too_large)$/) } },
    ]);
    expect(run.stdout + run.stderr).not.toContain('hunter2');
  });
});

test('a home that bad input was given to is not made', async () => {
  await using fresh = await Home.make();
  for (const args of [
    ['token', 'a b', 'zoho_crm'],
    ['list', '--state', 'x'],
    ['import', 'x.env', '--tenant', 'acme', '--dry-run'],
  ]) {
    await fresh.run(args);
  }
  expect(await readdir(fresh.path)).toEqual([]);
});

function shown(args: readonly string[]): string {
  const text = JSON.stringify(args.join(' '));
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
