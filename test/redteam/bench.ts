/** A server with its vault, on a real network of loopback ports, and browsers without a screen. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { openVault, type Vault } from '../../src/index.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';
import { tidyUp } from '../support/bench.ts';
import { patient } from '../support/patient-limits.ts';
import { AuthorizationServer } from './authorization-server.ts';

export const cookieName = '__Host-grantry_browser';

/** Address of the tenant's application. No server listens there, since only the address counts. */
export const returnTo = 'https://app.example/connected';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly location: URL | null;
}

/** Members of the JSON answers that tests look at. */
export interface Json {
  readonly id: string;
  readonly url: string;
  readonly code: string;
  readonly detail: string;
  readonly redirect_uri: string;
  readonly state: string;
  readonly error: string | null;
  readonly app: string;
  readonly dc: string | null;
  readonly api_domain: string | null;
  readonly scopes: readonly string[];
  readonly granted_scopes: readonly string[];
  readonly narrower: readonly string[];
  readonly wider: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly items: readonly Json[];
}

export class RedTeam implements AsyncDisposable {
  readonly url: string;
  readonly vault: Vault;
  /** By how much the clock of server and vault is ahead. */
  readonly clock: { ms: number };
  readonly #server: RunningServer;
  readonly #home: string;
  readonly #key: string;
  readonly #others: AsyncDisposable[] = [];

  private constructor(parts: {
    server: RunningServer;
    vault: Vault;
    home: string;
    key: string;
    clock: { ms: number };
  }) {
    this.#server = parts.server;
    this.#home = parts.home;
    this.#key = parts.key;
    this.vault = parts.vault;
    this.url = parts.server.url;
    this.clock = parts.clock;
  }

  static async start(): Promise<RedTeam> {
    const home = mkdtempSync(path.join(tmpdir(), 'grantry-redteam-'));
    const real = systemWorld({ allowLoopback: true });
    const clock = { ms: 0 };
    const world: World = {
      ...real,
      now: () => real.now() + clock.ms,
      monotonic: () => real.monotonic() + clock.ms,
    };
    const vault = await openVault({
      home,
      database: `sqlite:${path.join(home, 'grantry.db')}`,
      rootKey: `file:${path.join(home, 'root.key')}`,
      spool: path.join(home, 'spool'),
      unsafeAllowLoopbackProviders: 'the attackers live on loopback ports',
      world,
    });
    const server = await startServer({
      open: () => Promise.resolve(vault),
      port: 0,
      workers: false,
      world,
      ...patient(),
    });
    const { key } = await vault.keys.create('redteam', { role: 'admin' });
    return new RedTeam({ server, vault, home, key: key.reveal(), clock });
  }

  /** Starts an authorization server and registers it as a provider. */
  async provider(
    id: string,
    rules: AuthorizationServer['rules'] = {},
    more: Record<string, unknown> = {},
  ): Promise<AuthorizationServer> {
    const server = await AuthorizationServer.start(rules);
    this.#others.push(server);
    await this.vault.providers.put(server.definition(id, more));
    return server;
  }

  keep(other: AsyncDisposable): void {
    this.#others.push(other);
  }

  async app(name: string, provider: string, more: Record<string, unknown> = {}): Promise<Json> {
    const body = { provider, client_id: `client-of-${name}`, client_secret: 'app-secret', scopes: ['read'], ...more };
    const answer = await this.api('PUT', `/v1/apps/${name}`, { return_to: [returnTo], ...body });
    if (answer.status >= 300) throw new Error(`no app: ${answer.body.detail}`);
    return answer.body;
  }

  async session(input: Record<string, unknown>): Promise<Json> {
    const answer = await this.api('POST', '/v1/connect-sessions', { tenant: 'acme', ...input });
    if (answer.status !== 201) throw new Error(`no session: ${answer.body.detail}`);
    return answer.body;
  }

  async look(id: string): Promise<Json> {
    return (await this.api('GET', `/v1/connect-sessions/${id}`)).body;
  }

  async api(method: string, route: string, body?: unknown): Promise<{ status: number; body: Json }> {
    const response = await fetch(`${this.url}${route}`, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text === '' ? '{}' : text) };
  }

  visitor(): Visitor {
    return new Visitor(this.url);
  }

  /** Does the work that the workers do every few seconds. */
  async tidy(): Promise<void> {
    await tidyUp(this.vault);
  }

  /** Every byte that the database keeps, in its file and in its log. */
  stored(): string {
    const files = readdirSync(this.#home).filter((name) => name.startsWith('grantry.db'));
    return files.map((name) => readFileSync(path.join(this.#home, name), 'latin1')).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    for (const other of this.#others) await other[Symbol.asyncDispose]();
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** A browser without a screen: it keeps the server's cookie, follows nothing by itself, and goes where it is sent. */
export class Visitor {
  cookie: string | null = null;
  readonly #base: string;

  constructor(base: string) {
    this.#base = base;
  }

  async get(address: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#go(address, { headers });
  }

  async post(address: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#go(address, { method: 'POST', body: new URLSearchParams(form), headers });
  }

  /** Opens a link and presses its button: the address at the provider. */
  async start(link: string): Promise<string> {
    const page = await this.get(link);
    const proof = /name="proof" value="([^"]+)"/.exec(page.text)?.[1];
    if (proof === undefined) throw new Error(`the link shows no button: ${page.status}`);
    const sent = await this.post(link, { proof });
    if (sent.status !== 303 || sent.location === null) throw new Error(`the button leads nowhere: ${sent.status}`);
    return sent.location.href;
  }

  /** Comes back from the provider. */
  async callback(redirectUri: string, query: URLSearchParams | string): Promise<Answer> {
    return this.get(`${redirectUri}?${query.toString()}`);
  }

  /** Starts, consents and comes back. */
  async connect(
    link: string,
    provider: AuthorizationServer,
    change?: (query: URLSearchParams) => void,
  ): Promise<Answer> {
    const { redirectUri, callback } = provider.consent(await this.start(link));
    change?.(callback);
    return this.callback(redirectUri, callback);
  }

  async #go(address: string, init: RequestInit & { headers: Record<string, string> }): Promise<Answer> {
    const headers = new Headers(init.headers);
    if (this.cookie !== null) headers.set('cookie', `${cookieName}=${this.cookie}`);
    const response = await fetch(new URL(address, this.#base), { ...init, headers, redirect: 'manual' });
    const set = response.headers.getSetCookie().find((cookie) => cookie.startsWith(`${cookieName}=`));
    if (set !== undefined) this.cookie = set.slice(cookieName.length + 1).split(';')[0] ?? null;
    const location = response.headers.get('location');
    return {
      status: response.status,
      headers: response.headers,
      text: await response.text(),
      location: location === null ? null : new URL(location),
    };
  }
}
