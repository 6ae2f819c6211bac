import { createSecretKey } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'vitest';
import { openRecord } from '../../src/crypto/record.ts';
import { openVault } from '../../src/index.ts';
import type { RunningSimulator } from '../../src/simulator/index.ts';
import { Home, type Run, type RunOptions } from '../cli/grantry.ts';
import { freePort } from '../support/free-port.ts';
import { currentLog, postgresFiles, type Tables, tables } from './database.ts';
import type { Needles } from './needles.ts';
import { writeTelemetry } from './telemetry.ts';

export const clientId = 'canary-client';
export const clientSecret = 'canary-client-secret-4f1d0c8be2';
const adminKey = 'gry_canary-of-the-first-admin-7Qm2xK9v-0pLw8Yc3';
const returnTo = 'http://127.0.0.1:9/back';

/** One run: a server with telemetry and a debug log, and what came out of it. */
export class CanaryRun implements AsyncDisposable {
  readonly #needles: Needles;
  readonly #simulator: RunningSimulator;
  readonly #home: Home;
  readonly #port: number;
  readonly #place = join(import.meta.dirname, `../../.tmp/canary-${process.pid}`);
  readonly database: string;
  readonly #env: Readonly<Record<string, string>>;
  /** Collected output, by the name of its place. */
  readonly #sinks: { readonly sink: string; readonly content: string }[] = [];
  /** The part of PostgreSQL's log that was written when the run began. */
  #firstLog = '';
  #kill: (signal: NodeJS.Signals) => void = () => {};
  #pid = 0;
  #served: Promise<Run> = Promise.reject(new Error('not started'));

  private constructor({ needles, simulator, database }: CanaryOptions, home: Home, port: number) {
    this.#needles = needles;
    this.#simulator = simulator;
    this.#home = home;
    this.#port = port;
    this.database = database ?? `sqlite:${home.path}/home/grantry.db`;
    this.#served.catch(() => {});
    mkdirSync(this.#place, { recursive: true });
    this.#env = {
      GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
      GRANTRY_LOG_LEVEL: 'debug',
      ...(database === undefined ? {} : { GRANTRY_DATABASE: database }),
    };
  }

  static async start(options: CanaryOptions): Promise<CanaryRun> {
    const { needles, database } = options;
    const home = await Home.make();
    const run = new CanaryRun(options, home, await freePort());
    writeFileSync(join(home.path, 'admin.key'), adminKey, { mode: 0o600 });
    if (database !== undefined) run.#firstLog = await currentLog(database);
    const telemetry = writeTelemetry(join(run.#place, 'telemetry.mjs'), join(run.#place, 'spans.txt'));
    let log = '';
    run.#served = home.run(['serve', '--port', String(run.#port)], {
      env: {
        ...run.#env,
        GRANTRY_ADMIN_KEY_FILE: join(home.path, 'admin.key'),
        NODE_OPTIONS: `--import=${telemetry}`,
      },
      onStderr: (text) => {
        log = text;
      },
      onStarted: (kill, pid) => {
        run.#kill = kill;
        run.#pid = pid;
      },
    });
    await expect.poll(() => log).toContain('"message":"listening"');
    needles.add('client secret', clientSecret);
    needles.add('API key', adminKey);
    return run;
  }

  async setUp(): Promise<void> {
    await this.#ask('PUT', '/v1/providers/strict', this.#simulator.definition('strict'));
    const app = { provider: 'strict', client_id: clientId, client_secret: clientSecret, scopes: ['read'] };
    await this.#ask('PUT', '/v1/apps/strict', { ...app, return_to: [returnTo] });
    await this.#store('acme');
    await this.#store('globex');
    const { body } = await this.#ask('POST', '/v1/keys', { name: 'reader', role: 'reader', tenants: ['acme'] });
    this.#needles.add('API key', String(body['key']));
    for (const path of ['/readyz', '/livez', '/openapi.json', '/v1/keys', '/v1/apps', '/v1/providers']) {
      await this.#ask('GET', path);
    }
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: 'strict',
      subject_token: 'acme',
      client_id: String(body['id']),
      client_secret: String(body['key']),
    };
    const exchange = { key: null, body: new URLSearchParams(form) };
    expect((await this.#send('POST', '/oauth2/token', exchange)).status).toBe(200);
  }

  async useHttp(): Promise<void> {
    const path = '/v1/tenants/acme/grants/strict';
    const { body } = await this.#ask('GET', `${path}/token`);
    this.#simulator.killAccessToken(String(body['access_token']));
    await this.#ask('POST', `${path}/token`, { rejected_generation: body['generation'] });
    for (const each of [path, '/v1/grants', '/v1/grants?tenant=acme']) await this.#ask('GET', each);
    await this.#ask('POST', `${path}/health`);
    await this.#useProxy();
  }

  /** Through the proxy the token goes out, and comes back with nothing: also where it is refused and replaced on the way. */
  async #useProxy(): Promise<void> {
    const proxy = '/v1/proxy/acme/strict';
    expect((await this.#ask('GET', `${proxy}/api/organization`)).status).toBe(200);
    const { body } = await this.#ask('GET', '/v1/tenants/acme/grants/strict/token');
    this.#simulator.killAccessToken(String(body['access_token']));
    expect((await this.#ask('GET', `${proxy}/api/organization`)).status).toBe(200);
    const echo = { authorization: `Bearer ${String(body['access_token'])}`, 'x-echo': String(body['access_token']) };
    await this.#send('GET', `${proxy}/nowhere`, { as: 'GET the proxy with a header of its own', headers: echo });
    await this.#send('GET', `${proxy}/${String(body['access_token'])}`, { as: 'GET a proxied path that is a secret' });
    await this.#ask('POST', `${proxy}/api/organization`, { access_token: body['access_token'] });
    await this.#ask('GET', '/v1/proxy/acme/nobody/api/organization');
  }

  /** As a browser would: the link, its button, the provider, the callback, and the application's own request. */
  async connectInBrowser(): Promise<void> {
    const input = { tenant: 'acme', provider: 'strict', account: 'second', return_to: returnTo, user: 'alice' };
    const { body: session } = await this.#ask('POST', '/v1/connect-sessions', input);
    const link = new URL(String(session['url']));
    this.#needles.add('connect link', link.pathname.split('/').at(-1));
    const opened = await this.#send('GET', link.pathname, { as: 'GET the link', key: null });
    const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    this.#needles.add('browser cookie', cookie.split('=')[1]);
    const proof = /name="proof" value="([^"]+)"/.exec(opened.text)?.[1] ?? '';
    const browser = { cookie };
    const pressed = await this.#send('POST', link.pathname, {
      as: 'POST the link',
      key: null,
      headers: browser,
      body: new URLSearchParams({ proof }),
    });
    const away = new URL(pressed.headers.get('location') ?? '');
    this.#needles.add('state', away.searchParams.get('state'));
    const back = new URL((await fetch(away, { redirect: 'manual' })).headers.get('location') ?? '');
    this.#needles.add('authorization code', back.searchParams.get('code'));
    const callback = `${back.pathname}${back.search}`;
    const came = await this.#send('GET', callback, { as: 'GET the callback', key: null, headers: browser });
    const home = new URL(came.headers.get('location') ?? '');
    this.#needles.add('completion code', home.searchParams.get('code'));
    // Once more, and from another browser: refused, and without a word of what was sent.
    for (const headers of [browser, {}]) {
      await this.#send('GET', callback, { as: 'GET the callback again', key: null, headers });
    }
    const complete = { completion_code: home.searchParams.get('code'), user: 'alice' };
    const completed = await this.#ask('POST', `/v1/connect-sessions/${String(session['id'])}/complete`, complete);
    expect(completed.status).toBe(200);
    await this.#ask('POST', `/v1/connect-sessions/${String(session['id'])}/complete`, complete);
  }

  /** Everything that a provider or a caller can do to get a secret repeated. */
  async fail(): Promise<void> {
    const path = '/v1/tenants/globex/grants/strict';
    const { refreshToken, accessToken } = await this.#store('globex');
    const echo = `${refreshToken} ${accessToken} ${clientSecret}`;
    const effects = [
      { kind: 'status', status: 500, when: 'before', body: echo },
      { kind: 'error', error: 'invalid_client', description: echo },
      { kind: 'error', error: 'invalid_request', description: echo },
      { kind: 'redirect', location: `http://127.0.0.1:9/?token=${refreshToken}` },
      { kind: 'html', when: 'before' },
      { kind: 'reset', when: 'before' },
      { kind: 'cut' },
      { kind: 'error', error: 'invalid_grant', description: echo },
    ] as const;
    for (const effect of effects) {
      await this.#store('globex');
      this.#simulator.faults.add({ endpoint: 'token', profile: 'strict', effect });
      await this.#ask('GET', `${path}/token?min_validity=3000`);
    }
    this.#simulator.faults.clear();
    const stray = { app: 'strict', refresh_token: refreshToken, access_token: accessToken };
    await this.#ask('PUT', path, { ...stray, expires_in: refreshToken });
    await this.#ask('PUT', path, { ...stray, [refreshToken]: 1 });
    await this.#ask('PUT', '/v1/apps/other', { provider: 'strict', client_id: 1, client_secret: clientSecret });
    await this.#send('PUT', path, { as: 'PUT broken JSON', body: `{"refresh_token":"${refreshToken}",` });
    await this.#send('POST', '/v1/import', { body: `{"refresh_token":"${refreshToken}"\n${JSON.stringify(stray)}\n` });
    await this.#send('GET', `/v1/${refreshToken}`, { as: 'GET a path that is a secret' });
    await this.#send('GET', `/v1/grants?${refreshToken}=${accessToken}`, { as: 'GET a query that is a secret' });
    await this.#send('GET', '/v1/grants', { as: 'GET with a wrong key', key: `${adminKey}x` });
    await this.#send('GET', '/v1/grants', { as: 'GET with a key of another form', key: refreshToken });
    await this.#ask('DELETE', path);
  }

  async useCommands(): Promise<void> {
    await this.#command('grantry token', ['token', 'acme', 'strict']);
    await this.#command('grantry list', ['list', '--json']);
    await this.#command('grantry show', ['show', 'acme', 'strict']);
    await this.#command('grantry health', ['health', 'acme', 'strict', '--json']);
    await this.#command('grantry app', ['app', 'list', '--json']);
    await this.#command('grantry key list', ['key', 'list']);
    await this.#command('grantry call', ['call', 'acme', 'strict', 'GET', '/nowhere']);
    await this.#command('a command with a secret in it', ['app', 'add', 'x', '--client-secret', clientSecret]);
    await this.#command('a sealed database', ['token', 'acme', 'strict'], { env: { GRANTRY_ROOT_KEY: 'env:NONE' } });
  }

  /** Errors as a program would print them. */
  async useLibrary(): Promise<void> {
    await using vault = await openVault({
      home: join(this.#home.path, 'home'),
      database: this.database,
      unsafeAllowLoopbackProviders: 'the provider is simulated',
      backgroundRefresh: false,
    });
    const key = { tenant: 'acme', provider: 'strict' };
    const token = await vault.getAccessToken(key);
    const effects = [
      { kind: 'reset', when: 'before' },
      { kind: 'error', error: 'invalid_client', description: token.accessToken },
    ] as const;
    for (const effect of effects) {
      const { refreshToken } = await this.#store('acme');
      this.#simulator.faults.add({ endpoint: 'token', effect });
      await this.#throws(vault.getAccessToken(key, { minValidity: 3_000 }));
      await this.#throws(vault.storeTokens(key, { refreshToken, expiresIn: -1 }));
      await this.#throws(vault.completeAuthorization(`http://127.0.0.1:9/?code=${refreshToken}&state=${refreshToken}`));
    }
    this.#simulator.faults.clear();
    this.#sinks.push({ sink: 'an inspected vault', content: inspect(vault, { depth: 10, showHidden: true }) });
  }

  /** /metrics, the process's own environment and arguments, and its end. */
  async stop(): Promise<void> {
    const { status } = await this.#ask('GET', '/metrics');
    expect(status).toBe(200);
    for (const name of ['cmdline', 'environ']) {
      const file = `/proc/${this.#pid}/${name}`;
      if (existsSync(file)) this.#sinks.push({ sink: `the process's ${name}`, content: readFileSync(file, 'latin1') });
    }
    this.#kill('SIGTERM');
    const { code, stdout, stderr } = await this.#served;
    expect(code).toBe(0);
    // It did speak: an empty log proves nothing.
    expect(stderr).toContain('"message":"answered"');
    expect(stderr).not.toContain('[scrubbed]');
    this.#sinks.push({ sink: 'stdout of the server', content: stdout }, { sink: 'the log', content: stderr });
    const spans = readFileSync(join(this.#place, 'spans.txt'), 'utf8');
    expect(spans).toContain('grantry.provider_request');
    this.#sinks.push({ sink: 'the spans', content: spans });
  }

  /** The root key, and every tenant's key as the root key unwraps it. */
  noteKeys(rows: Tables): void {
    const text = readFileSync(join(this.#home.path, 'home/root.key'), 'utf8').trim();
    const root = Buffer.from(text, 'base64');
    this.#needles.add('root key', text);
    this.#needles.add('root key', root);
    const vaultId = String(rows['grantry_instance']?.[0]?.['vault_id']);
    for (const row of rows['grantry_tenant_keys'] ?? []) {
      const opened = openRecord({
        purpose: 'wrap',
        findKey: () => createSecretKey(root),
        context: [
          vaultId,
          String(row['tenant']),
          String(row['version']),
          ...(row['tenant'] === '$system' ? ['row-macs'] : []),
        ],
        text: String(row['wrapped']),
      });
      if (opened.outcome === 'opened') this.#needles.add('tenant key', opened.plaintext);
    }
  }

  async sweep(): Promise<void> {
    for (const { sink, content } of this.#sinks) this.#needles.search(sink, content);
    this.#needles.search('the tables', JSON.stringify(await tables(this.database)));
    if (!this.database.startsWith('sqlite:')) {
      for (const { name, content } of await postgresFiles(this.database, this.#firstLog)) {
        this.#needles.search(name, content);
      }
    }
    const home = join(this.#home.path, 'home');
    for (const name of readdirSync(home).filter((each) => each !== 'root.key' && each !== 'spool')) {
      this.#needles.search(`home/${name}`, readFileSync(join(home, name)));
    }
    const files = readdirSync(join(home, 'spool'), { recursive: true, withFileTypes: true });
    const spool = files.filter((file) => file.isFile());
    expect(spool.length).toBeGreaterThan(0);
    for (const { parentPath, name } of spool) this.#needles.search('the spool', readFileSync(join(parentPath, name)));
  }

  async #store(tenant: string): Promise<{ refreshToken: string; accessToken: string }> {
    const minted = this.#simulator.mintTokens({
      profile: 'strict',
      clientId,
      user: 'user@us.example',
      scopes: ['read'],
    });
    this.#needles.add('refresh token', minted.refreshToken);
    this.#needles.add('access token', minted.accessToken);
    await this.#ask('PUT', `/v1/tenants/${tenant}/grants/strict`, {
      app: 'strict',
      refresh_token: minted.refreshToken,
    });
    return minted;
  }

  async #throws(work: Promise<unknown>): Promise<void> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(Error);
    if (!(error instanceof Error)) return;
    this.#sinks.push({ sink: 'an inspected error', content: inspect(error, { depth: 10, showHidden: true }) });
    // A diagnostic report has the whole environment of this process in it, which is not the product's.
    process.report.excludeEnv = true;
    const report: unknown = process.report.getReport(error);
    this.#sinks.push({
      sink: 'the report of an error',
      content: JSON.stringify(Reflect.get(Object(report), 'javascriptStack')),
    });
  }

  async #command(name: string, args: readonly string[], options: RunOptions = {}): Promise<void> {
    const { stdout, stderr } = await this.#home.run(args, { ...options, env: { ...this.#env, ...options.env } });
    this.#sinks.push({ sink: `stdout of ${name}`, content: stdout }, { sink: `stderr of ${name}`, content: stderr });
  }

  #ask(method: string, path: string, body?: unknown): Promise<Sent> {
    const headers = { 'content-type': 'application/json' };
    return this.#send(method, path, body === undefined ? {} : { body: JSON.stringify(body), headers });
  }

  async #send(method: string, path: string, how: SendOptions = {}): Promise<Sent> {
    const { as = `${method} ${path.split('?')[0]}`, key = adminKey, body, headers } = how;
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      redirect: 'manual',
      headers: { ...headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const others = [...response.headers].filter(([name]) => name !== 'set-cookie' && name !== 'location');
    this.#sinks.push(
      { sink: as.replace(/[0-9a-f-]{36}/, '{id}'), content: text },
      { sink: `headers of ${as}`, content: JSON.stringify(others) },
      { sink: `cookie of ${as}`, content: response.headers.get('set-cookie') ?? '' },
      { sink: `location of ${as}`, content: response.headers.get('location') ?? '' },
    );
    const json = response.headers.get('content-type')?.endsWith('json') === true && text !== '';
    return { status: response.status, headers: response.headers, text, body: JSON.parse(json ? text : '{}') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill('SIGKILL');
    await this.#served.catch(() => {});
    await this.#home[Symbol.asyncDispose]();
    rmSync(this.#place, { recursive: true, force: true });
  }
}

export interface CanaryOptions {
  readonly needles: Needles;
  readonly simulator: RunningSimulator;
  /** A PostgreSQL database; SQLite when left out. */
  readonly database: string | undefined;
}

interface SendOptions {
  /** The name of the place in which its answer is. */
  readonly as?: string;
  readonly key?: string | null;
  readonly body?: string | URLSearchParams;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}
