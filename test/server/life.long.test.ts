/** The life of a real `grantry serve`: keys and databases that are away, signals, and what survives them. */
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoClient, type RunningSimulator, startSimulator } from '../../src/simulator/index.ts';
import { Home, type Run } from '../cli/grantry.ts';
import { freePort } from '../support/free-port.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';

const adminKey = 'gry_life-of-a-process-7Qm2xK9vRt4bZ-0pLw8Yc3';

let simulator: RunningSimulator;
beforeAll(async () => {
  simulator = await startSimulator({ profiles: ['strict'] });
});
afterAll(() => simulator.close());

/** One home and one port, and a server in it that is started and ended by the test. */
class Place implements AsyncDisposable {
  readonly home: Home;
  readonly url: string;
  readonly #port: number;
  #kill: (signal: NodeJS.Signals) => void = () => {};
  #stderr = '';
  ended: Promise<Run> = Promise.reject(new Error('not started'));

  private constructor(home: Home, port: number) {
    this.home = home;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.ended.catch(() => {});
  }

  static async make(): Promise<Place> {
    const home = await Home.make();
    await writeFile(join(home.path, 'admin.key'), adminKey, { mode: 0o600 });
    return new Place(home, await freePort());
  }

  get spool(): string {
    return join(this.home.path, 'home/spool');
  }

  /** Resolves when it listens. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#stderr = '';
    this.ended = this.home.run(['serve', '--port', String(this.#port), '--no-workers'], {
      env: {
        GRANTRY_ADMIN_KEY_FILE: join(this.home.path, 'admin.key'),
        GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
        ...env,
      },
      onStderr: (text) => {
        this.#stderr = text;
      },
      onStarted: (kill) => {
        this.#kill = kill;
      },
    });
    await expect.poll(() => this.#stderr).toContain('"message":"listening"');
  }

  signal(name: NodeJS.Signals): void {
    this.#kill(name);
  }

  async log(text: string): Promise<void> {
    await expect.poll(() => this.#stderr).toContain(text);
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: JSON.parse((await response.text()) || '{}') };
  }

  /** A grant of the tenant acme without an access token. */
  async connect(): Promise<void> {
    const { clientId, secret } = demoClient;
    await this.call('PUT', '/v1/providers/strict', simulator.definition('strict'));
    await this.call('PUT', '/v1/apps/strict', { provider: 'strict', client_id: clientId, client_secret: secret });
    const minted = simulator.mintTokens({ profile: 'strict', clientId, user: 'user@us.example', scopes: ['read'] });
    const put = { app: 'strict', refresh_token: minted.refreshToken };
    expect((await this.call('PUT', '/v1/tenants/acme/grants/strict', put)).status).toBe(201);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill('SIGKILL');
    await this.ended.catch(() => {});
    await this.home[Symbol.asyncDispose]();
  }
}

const tokenPath = '/v1/tenants/acme/grants/strict/token';
const tokenRequests = (): number => simulator.history.events().filter(({ kind }) => kind === 'token').length;

test('a root key that is away keeps the vault sealed, not the server down', async () => {
  await using place = await Place.make();
  await place.start();
  await place.connect();
  place.signal('SIGTERM');
  expect((await place.ended).code).toBe(0);
  const key = join(place.home.path, 'home/root.key');
  await rename(key, `${key}.away`);
  await place.start();
  expect((await place.call('GET', '/livez')).status).toBe(200);
  for (const path of ['/readyz', tokenPath, '/v1/apps']) {
    expect(await place.call('GET', path)).toMatchObject({ status: 503, body: { code: 'vault_sealed' } });
  }
  await rename(`${key}.away`, key);
  await expect.poll(async () => (await place.call('GET', '/readyz')).status).toBe(200);
  expect((await place.call('GET', tokenPath)).status).toBe(200);
});

test('SIGTERM while a provider answers: the caller gets the token, and the end is orderly', async () => {
  await using place = await Place.make();
  await place.start();
  await place.connect();
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_500, when: 'after' } });
  const before = tokenRequests();
  const asked = place.call('GET', tokenPath);
  await expect.poll(tokenRequests).toBe(before + 1);
  place.signal('SIGTERM');
  expect(await asked).toMatchObject({ status: 200, body: { generation: 2 } });
  const { code, stderr } = await place.ended;
  expect(code).toBe(0);
  expect(stderr).toContain('"unanswered":0');
});

test('a defect while a provider answers: the caller gets the token, and then the server ends', async () => {
  await using place = await Place.make();
  const defect = "process.on('SIGUSR2', () => void Promise.reject(new Error('a defect')))";
  await place.start({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(defect)}` });
  await place.connect();
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_500, when: 'after' } });
  const before = tokenRequests();
  const asked = place.call('GET', tokenPath);
  await expect.poll(tokenRequests).toBe(before + 1);
  place.signal('SIGUSR2');
  expect(await asked).toMatchObject({ status: 200, body: { generation: 2 } });
  const { code, stderr } = await place.ended;
  expect(code).toBe(1);
  expect(stderr).toContain('a defect ends this program');
  expect(stderr).not.toContain('Error: a defect');
});

test('a second signal ends it at once, and what had arrived is committed at the next start', async () => {
  await using place = await Place.make();
  await place.start();
  await place.connect();
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_500, when: 'after' } });
  const before = tokenRequests();
  const asked = place.call('GET', tokenPath).catch(() => 'cut off');
  await expect.poll(tokenRequests).toBe(before + 1);
  // From here on nothing can be committed: the answer arrives, and has nowhere to go but the spool.
  const file = new DatabaseSync(join(place.home.path, 'home/grantry.db'));
  file.exec('begin immediate');
  const spooled = async (): Promise<string[]> =>
    (await readdir(place.spool)).filter((name) => name.endsWith('.answer'));
  await expect.poll(spooled).toHaveLength(1);
  place.signal('SIGTERM');
  await place.log('"message":"stopping"');
  place.signal('SIGTERM');
  const { code, stderr } = await place.ended;
  expect([code, stderr.includes('ended at once by a second signal')]).toEqual([1, true]);
  expect(await asked).toBe('cut off');
  expect(await spooled()).toHaveLength(1);
  file.exec('rollback');
  file.close();
  await place.start();
  // The answer is in, without another question to the provider.
  expect((await place.call('GET', tokenPath)).body).toMatchObject({ generation: 2 });
  expect(tokenRequests()).toBe(before + 1);
});

test('a database that goes and comes back', async () => {
  await using postgres = disposable(await startPostgres());
  await using place = await Place.make();
  await place.start({ GRANTRY_DATABASE: postgres.it.url });
  await place.connect();
  const first = await place.call('GET', tokenPath);
  expect(first.status).toBe(200);
  expect((await place.call('GET', tokenPath)).status).toBe(200);

  const readiness = async () => (await place.call('GET', '/readyz')).body['code'] ?? 'ready';
  // A database that answers and takes no writes, as a standby does, is none to work with.
  const administrator = new Client({ connectionString: postgres.it.url });
  administrator.on('error', () => {});
  await administrator.connect();
  await administrator.query('alter system set default_transaction_read_only = on');
  await administrator.query('select pg_reload_conf()');
  await expect.poll(readiness).toBe('storage_unavailable');
  await administrator.query('alter system reset default_transaction_read_only');
  await administrator.query('select pg_reload_conf()');
  await expect.poll(readiness).toBe('ready');
  await administrator.end();

  // A row that is read while the change feed polls is not kept, so ask until a token comes from memory.
  const handedOutFromMemory = async (): Promise<number> => {
    await place.call('GET', tokenPath);
    const metrics = await fetch(`${place.url}/metrics`, { headers: { authorization: `Bearer ${adminKey}` } });
    return Number(/grantry_hand_outs_total\{source="memory"\} (\d+)/.exec(await metrics.text())?.[1] ?? Number.NaN);
  };
  const before = await handedOutFromMemory();
  await expect.poll(handedOutFromMemory).toBeGreaterThan(before);
  await postgres.it.stop();
  await expect.poll(readiness).toBe('storage_unavailable');
  expect((await place.call('GET', '/livez')).status).toBe(200);
  // What memory holds is handed out for five minutes; what would need the database says so.
  expect((await place.call('GET', tokenPath)).body).toMatchObject({ access_token: first.body['access_token'] });
  expect((await place.call('GET', '/v1/apps')).body).toMatchObject({ code: 'storage_unavailable' });

  await postgres.it.start();
  await expect.poll(readiness).toBe('ready');
  expect((await place.call('GET', '/v1/apps')).status).toBe(200);
  simulator.killAccessToken(String(first.body['access_token']));
  const body = { rejected_generation: first.body['generation'] };
  expect((await place.call('POST', tokenPath, body)).body).toMatchObject({ generation: 3 });
  place.signal('SIGTERM');
  expect((await place.ended).code).toBe(0);
});

test('a stop while the database is away does not wait for it', async () => {
  await using postgres = disposable(await startPostgres());
  await using place = await Place.make();
  await place.start({ GRANTRY_DATABASE: postgres.it.url });
  await place.connect();
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
  const before = tokenRequests();
  const asked = place.call('GET', tokenPath);
  await expect.poll(tokenRequests).toBe(before + 1);
  await postgres.it.stop();
  await place.log('it stays in the spool');
  place.signal('SIGTERM');
  // The caller waits no longer than any caller does.
  expect((await asked).status).toBe(503);
  expect((await place.ended).code).toBe(0);
  const names = await readdir(place.spool);
  expect(names.filter((name) => name.endsWith('.answer'))).toHaveLength(1);
  await postgres.it.start();
  await place.start({ GRANTRY_DATABASE: postgres.it.url });
  expect((await place.call('GET', tokenPath)).body).toMatchObject({ generation: 2 });
  expect(tokenRequests()).toBe(before + 1);
});

test('the log is JSON lines, and no query is in it', async () => {
  await using place = await Place.make();
  await place.start({ GRANTRY_LOG_LEVEL: 'debug' });
  await place.call('GET', '/v1/grants?tenant=a-name-in-the-query');
  place.signal('SIGTERM');
  const { stderr } = await place.ended;
  const lines = stderr
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line): Record<string, unknown> => JSON.parse(line));
  const answered = lines.find(({ message }) => message === 'answered');
  expect(Object.keys(answered ?? {})).toEqual([
    'time',
    'level',
    'message',
    'method',
    'route',
    'status',
    'ms',
    'key',
    'whole',
  ]);
  expect(answered).toMatchObject({ method: 'GET', route: '/v1/grants', status: 200, whole: true });
  expect(stderr).not.toContain('a-name-in-the-query');
  expect(stderr).not.toContain(await readFile(join(place.home.path, 'admin.key'), 'utf8'));
});

function disposable(it: PostgresServer): AsyncDisposable & { readonly it: PostgresServer } {
  return { it, [Symbol.asyncDispose]: () => it.remove() };
}
