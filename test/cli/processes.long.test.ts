/** Behaviour that needs real processes: signals, closed pipes, a browser that declines, ports in use. */
import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtInProvider } from '../../src/providers/catalogue.ts';
import { demoClient, type RunningSimulator, startSimulator } from '../../src/simulator/index.ts';
import { freePort } from '../support/free-port.ts';
import { scratchDatabase } from '../support/postgres.ts';
import { Home, type Run, type RunOptions } from './grantry.ts';

let simulator: RunningSimulator;
let home: Home;
let port: number;
const env = { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1' };
const run = (args: readonly string[], options: RunOptions = {}): Promise<Run> =>
  home.run(args, { ...options, env: { ...env, ...options.env } });

beforeAll(async () => {
  simulator = await startSimulator({ dataCenters: ['eu'], autoApprove: true });
  home = await Home.make();
  port = await freePort();
  const definition = builtInProvider('zoho_crm');
  if (definition === null) throw new Error('there is no zoho_crm');
  await writeFile(join(home.path, 'zoho_crm.json'), JSON.stringify(simulator.rewrite(definition)));
  const token = simulator.mintTokens({
    clientId: demoClient.clientId,
    user: 'user@eu.example',
    scopes: ['ZohoCRM.org.READ'],
  });
  const lines = [
    `ZOHO_CLIENT_ID=${demoClient.clientId}`,
    `ZOHO_CLIENT_SECRET=${demoClient.secret}`,
    `ZOHO_REFRESH_TOKEN=${token.refreshToken}`,
  ];
  await writeFile(join(home.path, 'acme.env'), `ZOHO_DC=eu\nZOHO_ORG_ID=42\n${lines.join('\n')}\n`);
  const app = ['app', 'add', 'zoho', '--provider', 'zoho_crm', '--client-id', demoClient.clientId, '--dc', 'eu'];
  for (const [args, stdin] of [
    [['provider', 'add', 'zoho_crm.json'], ''],
    [['import', 'acme.env', '--tenant', 'acme', '--provider', 'zoho_crm'], ''],
    [
      [
        ...app,
        '--client-secret-file',
        '-',
        '--redirect-uri',
        `http://127.0.0.1:${port}/callback`,
        '--scope',
        'ZohoCRM.org.READ',
      ],
      demoClient.secret,
    ],
  ] as const) {
    const made = await run(args, { stdin: stdin ?? '' });
    expect(made.code, made.stderr).toBe(0);
  }
});
afterAll(async () => {
  await simulator.close();
  await home[Symbol.asyncDispose]();
});

const exec = (script: string, options?: RunOptions): Promise<Run> =>
  run(['exec', 'acme', '--provider', 'zoho_crm', '--', process.execPath, '-e', script], options);

describe('exec', () => {
  test('hands the tokens only to the child', async () => {
    const ran = await exec(
      'const { ZOHO_CRM_ACCESS_TOKEN: t, ZOHO_CRM_API_DOMAIN: a, ZOHO_CRM_EXPIRES_AT: e, ZOHO_CRM_DC: d, ZOHO_CRM_ORG_ID: o } = process.env; console.log(t.slice(0, 5), a, new Date(e) > new Date(), d, o)',
    );
    expect(ran.stdout).toBe(`1000. ${simulator.origins()['zoho/eu']} true eu 42\n`);
  });

  test('the root key stays behind', async () => {
    const key = (await readFile(join(home.path, 'home/root.key'), 'utf8')).trim();
    const ran = await exec('console.log(process.env.THE_KEY)', {
      env: { THE_KEY: key, GRANTRY_ROOT_KEY: 'env:THE_KEY' },
    });
    expect(ran.stdout).toBe('undefined\n');
  });

  test('passes a signal on and waits for the child to finish with it', async () => {
    const ran = await exec(
      "process.on('SIGTERM', () => { console.log('tidied'); process.exit(9); }); console.error('ready'); setInterval(() => {}, 1000)",
      killedWhen('ready', 'SIGTERM'),
    );
    expect([ran.stdout, ran.code]).toEqual(['tidied\n', 9]);
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('a child ended by %s gives %i', async (signal, code) => {
    const ran = await exec("console.error('ready'); setInterval(() => {}, 1000)", killedWhen('ready', signal));
    expect(ran.code).toBe(code);
  });

  test('a program that is not there is 127', async () => {
    const ran = await run(['exec', 'acme', '--provider', 'zoho_crm', '--', 'no-such-program-anywhere']);
    expect([ran.code, ran.stderr]).toEqual([127, 'grantry: the program cannot be run: it is not found.\n']);
  });
});

describe('connect', () => {
  const connect = (options: RunOptions): Promise<Run> =>
    run(['connect', 'bravo', 'zoho_crm', '--app', 'zoho', '--no-open'], options);

  test('a browser that declines', async () => {
    const ran = await connect(
      withBrowser(async (url) => {
        const state = new URL(url).searchParams.get('state') ?? '';
        await visit(`http://127.0.0.1:${port}/callback?error=access_denied&state=${state}`, 400);
      }),
    );
    expect([ran.code, ran.stdout]).toEqual([1, '']);
    expect(ran.stderr).toMatch(/^grantry: /m);
    expect((await run(['show', 'bravo', 'zoho_crm'])).code).toBe(3);
  });

  test('a callback with another state does not end the command', async () => {
    const ran = await connect(
      withBrowser(async (url) => {
        await visit(`http://127.0.0.1:${port}/callback?code=stolen&state=other`, 400);
        await visit(`http://127.0.0.1:${port}/favicon.ico`, 404);
        await visit(url, 200);
      }),
    );
    expect([ran.code, ran.stdout]).toEqual([0, 'Connected bravo to zoho_crm (account default, data centre eu).\n']);
  });

  test('Ctrl-C', async () => {
    const ran = await connect(killedWhen('Open this URL', 'SIGINT'));
    expect([ran.code, ran.signal, ran.stdout]).toEqual([130, null, '']);
    expect(ran.stderr).toContain('nothing has changed');
  });

  test('a second signal while the code is being redeemed ends it at once', async () => {
    simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 20_000, when: 'after' } });
    const startedAt = performance.now();
    let kill: (signal: NodeJS.Signals) => void = () => {};
    const browser = withBrowser(async (url) => {
      const codes = () =>
        simulator.history.events().filter(({ grantType }) => grantType === 'authorization_code').length;
      const before = codes();
      const page = visit(url, 200).catch(() => {});
      await expect.poll(codes).toBe(before + 1);
      kill('SIGTERM');
      await page;
    });
    const ran = await connect({
      onStarted: (given) => (kill = given),
      onStderr: (text) => {
        browser.onStderr?.(text);
        if (text.includes('Waiting for its answer')) kill('SIGTERM');
      },
    });
    simulator.faults.clear();
    expect([ran.code, ran.stderr]).toEqual([143, expect.stringContaining('A second signal ends at once')]);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  test('a port that is taken is said, with the ways out', async () => {
    const other = await listening(port);
    const ran = await connect({});
    await new Promise((resolve) => other.close(resolve));
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(/in use by another program[^]*server[^]*--paste/);
  });

  test('an address pasted from a browser elsewhere', async () => {
    let feed: (text: string) => void = () => {};
    const ran = await run(['connect', 'charlie', 'zoho_crm', '--app', 'zoho', '--paste'], {
      onInput: (write) => (feed = write),
      ...withBrowser(async (url) => {
        const answer = await fetch(url, { redirect: 'manual' });
        feed(`${answer.headers.get('location')}\n`);
      }),
    });
    expect([ran.code, ran.stdout]).toEqual([0, 'Connected charlie to zoho_crm (account default, data centre eu).\n']);
  });
});

describe('output', () => {
  test.each([[['provider', 'list', '--json']], [['app', 'add', '--help']], [['--version']]])(
    'a reader that goes away is no error: %j',
    async (args) => {
      const ran = await run(args, { closeStdout: true });
      expect([ran.code, ran.stderr]).toEqual([0, '']);
    },
  );

  test('the file of the current tenant is readable only by its owner, and the environment wins', async () => {
    await run(['use', 'acme']);
    const { mode } = await stat(join(home.path, 'home/current-tenant'));
    expect(mode & 0o777).toBe(0o600);
    const ran = await run(['use'], { env: { GRANTRY_TENANT: 'zulu' } });
    expect(ran.stdout).toBe('zulu\n');
  });
});

test('simulate runs until it is told to end', async () => {
  await using fresh = await Home.make();
  const ran = await fresh.run(['simulate', '--profile', 'strict', '--json'], {
    onStarted: (kill) => {
      void (async () => {
        await expect.poll(() => existsSync(join(fresh.path, 'home/simulator/client-secret.txt'))).toBe(true);
        kill('SIGINT');
      })();
    },
  });
  expect([ran.code, ran.signal, ran.stderr]).toEqual([0, null, '']);
  expect(JSON.parse(ran.stdout)).toMatchObject({
    origins: { strict: expect.stringMatching(/^http:\/\/127/) },
    client: { client_id: demoClient.clientId },
  });
});

test('PostgreSQL: the main job and the doctor', async () => {
  await using scratch = await scratchDatabase();
  await using fresh = await Home.make();
  const options = { env: { ...env, GRANTRY_DATABASE: scratch.database } };
  const file = (name: string): string => join(home.path, name);
  const made = await fresh.run(['init', '--json'], options);
  expect(JSON.parse(made.stdout)).toMatchObject({
    database: expect.stringMatching(/^postgres:\/\/[^:@]*(:\d+)?\/grantry_test_/),
    taken_over: 0,
  });
  expect((await fresh.run(['provider', 'add', file('zoho_crm.json')], options)).code).toBe(0);
  const imported = await fresh.run(['import', file('acme.env'), '--tenant', 'acme', '--provider', 'zoho_crm'], options);
  expect(imported.code, imported.stdout + imported.stderr).toBe(0);
  expect((await fresh.run(['token', 'acme', 'zoho_crm'], options)).stdout).toMatch(/^1000\./);
  expect((await fresh.run(['health', 'acme', 'zoho_crm'], options)).code).toBe(0);
  const checked = await fresh.run(['doctor', '--json'], options);
  const findings: unknown = JSON.parse(checked.stdout);
  for (const check of ['database', 'durability', 'clock', 'schema', 'identity', 'vault', 'provider']) {
    expect(findings).toContainEqual(expect.objectContaining({ check, status: 'ok' }));
  }
  expect(checked.code, checked.stdout).toBe(0);
});

test('a table of another program: refused, listed, taken over', async () => {
  await using fresh = await Home.make();
  const path = join(fresh.path, 'old.db');
  const old = new DatabaseSync(path);
  old.exec(`create table oauth_tokens (id text primary key, client_id text, provider text, access_token text,
    refresh_token text, token_expiry text, scopes text, metadata text, created_at text, updated_at text,
    unique (client_id, provider))`);
  old
    .prepare(
      "insert into oauth_tokens values ('1', 'acme', 'zoho_crm', 'a-plain-token', 'r-plain-token', null, '', ?, null, null)",
    )
    .run('{"dc":"com.au"}');
  old.close();
  const database = ['--database', `sqlite:${path}`];
  const refused = await fresh.run(['list', ...database]);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('grantry init')]);
  const listed = await fresh.run(['init', '--dry-run', '--json', ...database]);
  expect(JSON.parse(listed.stdout)).toMatchObject({
    table: 'foreign',
    rows: [{ tenant: 'acme', provider: 'zoho_crm', dc: 'au' }],
  });
  expect((await fresh.run(['init', '--dry-run', ...database])).stdout).toMatch(/^acme +zoho_crm +default +au/m);
  const taken = await fresh.run(['init', '--json', ...database]);
  expect([taken.code, taken.stderr]).toEqual([0, expect.any(String)]);
  expect(JSON.parse(taken.stdout)).toMatchObject({ taken_over: 1 });
  expect(JSON.parse((await fresh.run(['list', '--json', ...database])).stdout)).toMatchObject([
    { tenant: 'acme', dc: 'au', generation: 1 },
  ]);
  expect((await readFile(path)).includes('plain-token')).toBe(false);
});

function killedWhen(text: string, signal: NodeJS.Signals): RunOptions {
  let kill: (signal: NodeJS.Signals) => void = () => {};
  let done = false;
  return {
    onStarted: (given) => (kill = given),
    onStderr: (said) => {
      if (done || !said.includes(text)) return;
      done = true;
      kill(signal);
    },
  };
}

function withBrowser(browse: (url: string) => Promise<void>): RunOptions {
  let opened = false;
  return {
    onStderr: (said) => {
      const url = /^ {2}(http\S+)\n/m.exec(said)?.[1];
      if (opened || url === undefined) return;
      opened = true;
      void browse(url);
    },
  };
}

async function visit(url: string, status: number): Promise<void> {
  const answer = await fetch(url);
  await answer.text();
  expect(answer.status).toBe(status);
}

function listening(at: number): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(at, '127.0.0.1', () => resolve(server));
  });
}
