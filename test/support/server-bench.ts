/**
 * A bench for the server: real servers on loopback ports over the vault's bench, with a key for each role. Requests use
 * real sockets; providers are simulated, and the clock can be moved.
 */
import type { ApiKeyInput, Vault, VaultOptions } from '../../src/index.ts';
import { apiKeyRoles } from '../../src/schemas/words.ts';
import { type Instruments, type RunningServer, type ServerOptions, startServer } from '../../src/server/index.ts';
import { type Bench, type BenchOptions, makeBench } from './bench.ts';
import { patient } from './patient-limits.ts';
import type { TestWorld } from './world.ts';

export interface ServerBenchOptions extends BenchOptions {
  /** Changes the server's own options. */
  server?: Partial<ServerOptions>;
  vault?: VaultOptions;
}

export interface CallOptions {
  /** A key, or a role whose key is made on first use; `null` sends none. */
  key?: ApiKeyInput['role'] | (string & {}) | null;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Called {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed JSON body; empty for other bodies. */
  readonly body: Answered;
  readonly text: string;
}

/** Members of all answers; a test reads those of its route. */
export interface Answered {
  readonly access_token: string;
  readonly expires_in: number;
  readonly generation: number;
  readonly status: number | string;
  readonly code: string;
  readonly detail: string;
  readonly retry_after: number;
  readonly error: string;
  readonly error_description: string;
  readonly items: readonly Answered[];
  readonly next_cursor: string | null;
  readonly id: string;
  readonly name: string;
  readonly key: string;
  readonly role: string;
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  readonly state: string;
  readonly scopes: readonly string[];
  readonly url: string;
  readonly redirect_uri: string;
  readonly secrets: readonly string[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

interface Started {
  readonly server: RunningServer;
  readonly opened: { vault?: Vault };
  readonly world: TestWorld;
}

export async function makeServerBench(options: ServerBenchOptions = {}): Promise<ServerBench> {
  const bench = await makeBench(options);
  const made = new ServerBench(bench, options);
  await made.start();
  return made;
}

export class ServerBench implements AsyncDisposable {
  readonly bench: Bench;
  readonly #options: ServerBenchOptions;
  readonly #servers: Started[] = [];
  readonly #keys = new Map<string, string>();

  constructor(bench: Bench, options: ServerBenchOptions) {
    this.bench = bench;
    this.#options = options;
  }

  /** Starts one more server on the same database. */
  async start(more: Partial<ServerOptions> = {}): Promise<RunningServer> {
    const world = this.bench.world();
    const opened: { vault?: Vault } = {};
    const open = async (instruments: Instruments): Promise<Vault> => {
      opened.vault = (await this.bench.open({ ...instruments, ...this.#options.vault, world })).vault;
      return opened.vault;
    };
    const server = await startServer({
      open,
      port: 0,
      workers: false,
      world,
      ...patient(this.#options.server ?? {}, more),
    });
    this.#servers.push({ server, opened, world });
    return server;
  }

  /** Stops the first server. */
  stop(): Promise<void> {
    return this.#first.server.stop();
  }

  get #first(): Started {
    const [first] = this.#servers;
    if (first === undefined) throw new Error('no server runs');
    return first;
  }

  get url(): string {
    return this.#first.server.url;
  }

  get vault(): Vault {
    const { vault } = this.#first.opened;
    if (vault === undefined) throw new Error('the vault is not open');
    return vault;
  }

  get world(): TestWorld {
    return this.#first.world;
  }

  /** Creates a key of a role; readers, callers and connectors act for the tenant acme by default. */
  async keyOf(role: ApiKeyInput['role'], more: Partial<ApiKeyInput> = {}): Promise<string> {
    const name = `${role}-${JSON.stringify(more)}`;
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const listed = role === 'reader' || role === 'caller' || role === 'connector';
    const input = { role, ...(listed ? { tenants: ['acme'] } : {}), ...more };
    const { key } = await this.vault.keys.create(`key-${this.#keys.size}`, input);
    this.#keys.set(name, key.reveal());
    return key.reveal();
  }

  /** Sends one request to a server, the first one by default. */
  async call(method: string, path: string, options: CallOptions & { url?: string } = {}): Promise<Called> {
    const { key = 'admin', body, headers = {}, url = this.url } = options;
    const sent = new Headers(headers);
    if (key !== null) sent.set('authorization', `Bearer ${await this.#resolve(key)}`);
    const raw = typeof body === 'string';
    if (body !== undefined && !raw) sent.set('content-type', 'application/json');
    const response = await fetch(`${url}${path}`, {
      method,
      headers: sent,
      redirect: 'manual',
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /^application\/(?:problem\+)?json$/.test(response.headers.get('content-type') ?? '') && text !== '';
    return { status: response.status, headers: response.headers, body: JSON.parse(json ? text : '{}'), text };
  }

  async #resolve(key: string): Promise<string> {
    const role = apiKeyRoles.find((known) => known === key);
    return role === undefined ? key : this.keyOf(role);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map(({ server }) => server.stop()));
    await this.bench[Symbol.asyncDispose]();
  }
}
