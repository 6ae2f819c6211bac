import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isGrantryError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { type ApiKeyInput, openVault, type Vault } from '../../src/index.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';
import { createSimulator, type Simulator } from '../../src/simulator/index.ts';
import { findGrant } from '../../src/storage/statements/grants.ts';
import { openToken, tokenPlace } from '../../src/vault/grant/tokens.ts';
import { checkRows } from '../../src/vault/guard/check-rows.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { patient } from '../../test/support/patient-limits.ts';
import { type Attacker, openAttacker, type Row, type Value } from './attacker.ts';
import { Hosts } from './hosts.ts';
import { attackersKey } from './values.ts';

export const tenants = ['acme', 'globex', 'initech', 'umbrella'] as const;
export const providers = ['none', 'retire_on_use'] as const;
export type Provider = (typeof providers)[number];

/** A tenant without grants, whose owner can write the database. */
export const mallory = 'mallory';

/** The tenant's backend, at which no server listens. */
export const returnTo = 'https://app.example/connected';

/** A key of the run. */
export interface Holder {
  readonly name: string;
  readonly id: string;
  readonly key: string;
  /** The tenants whose access tokens its holder may get. */
  readonly may: ReadonlySet<string>;
  /** The tenants that it acts for. */
  readonly acts: ReadonlySet<string>;
}

/** The attacker, with a key of its own making. */
export const forger: Holder = { name: 'forger', id: 'forged', key: attackersKey, may: new Set(), acts: new Set() };

type ApiKeyRole = ApiKeyInput['role'];

/** A vault with everything that an attacker may want: grants, apps, keys and connect flows; and its server with workers. */
export class Place implements AsyncDisposable {
  readonly hosts: Hosts;
  readonly simulator: Simulator;
  readonly vault: Vault;
  readonly server: RunningServer;
  readonly attacker: Attacker;
  readonly holders = new Map<string, Holder>();
  /** The lines of the log that name altered rows. */
  readonly logged: string[];
  readonly #home: string;
  readonly #world: World;
  readonly #database: string;

  private constructor(
    parts: Pick<Place, 'hosts' | 'simulator' | 'vault' | 'server' | 'attacker' | 'logged'> & {
      home: string;
      world: World;
      database: string;
    },
  ) {
    this.hosts = parts.hosts;
    this.simulator = parts.simulator;
    this.vault = parts.vault;
    this.server = parts.server;
    this.attacker = parts.attacker;
    this.logged = parts.logged;
    this.#home = parts.home;
    this.#world = parts.world;
    this.#database = parts.database;
  }

  static async start(database: string, options: { workers: boolean }): Promise<Place> {
    const home = mkdtempSync(join(tmpdir(), 'grantry-tamper-'));
    const clients = providers.map((provider) => ({ clientId: clientIdOf(provider), secret: clientSecretOf(provider) }));
    const simulator = createSimulator({ profiles: [...providers], clients, autoApprove: true });
    const hosts = new Hosts(simulator);
    const world: World = { ...systemWorld({ allowLoopback: true }), fetch: hosts.fetch };
    const logged: string[] = [];
    const vault = await openVault(vaultOptions({ home, database, world, logged }));
    const server = await startServer({
      open: async () => vault,
      port: 0,
      workers: options.workers,
      world,
      ...patient(),
    });
    const attacker = await openAttacker(database);
    const place = new Place({ hosts, simulator, vault, server, attacker, logged, home, world, database });
    await place.#fill();
    return place;
  }

  /** Opens one more vault, as another process does: it has nothing in memory. */
  reopen(): Promise<Vault> {
    const { logged } = this;
    return openVault(vaultOptions({ home: this.#home, database: this.#database, world: this.#world, logged }));
  }

  origin(provider: string): string {
    return this.simulator.origins()[provider] ?? '';
  }

  /** Lets the provider issue tokens for a user of a tenant. */
  mint(tenant: string, provider: Provider): { refreshToken: string; accessToken: string } {
    const consent = { profile: provider, clientId: clientIdOf(provider), user: 'user@us.example', scopes: ['read'] };
    const { refreshToken, accessToken } = this.simulator.mintTokens(consent);
    const canary = { tenant, origin: this.origin(provider) };
    this.hosts.own(refreshToken, { ...canary, kind: 'refresh token' });
    this.hosts.own(accessToken, { ...canary, kind: 'access token' });
    return { refreshToken, accessToken };
  }

  /** Stores a grant with new tokens of the provider. Without the access token, the next caller's token is a refreshed one. */
  async connect(tenant: string, provider: Provider, options: { stale?: boolean } = {}): Promise<void> {
    const { refreshToken, accessToken } = this.mint(tenant, provider);
    const fresh = options.stale === true ? {} : { accessToken, expiresIn: 3_600 };
    await this.vault.storeTokens({ tenant, provider }, { app: provider, refreshToken, ...fresh });
  }

  /** The row of a grant with its tokens as 0.1.0 has sealed them. Null for one that does not open. */
  async sealedBy010(row: Row): Promise<Row | null> {
    const { keys, store } = internalsOf(this.vault).open();
    try {
      const [tenant, provider, account] = [row['client_id'], row['provider'], row['account']].map(String);
      if (tenant === undefined || provider === undefined || account === undefined) return null;
      const found = await findGrant(store.db, { tenant, provider, account });
      if (found === undefined || found.id !== row['id']) return null;
      const pinned = await keys.pin(tenant);
      const sealed: Record<string, Value> = {};
      for (const column of ['access_token', 'refresh_token'] as const) {
        const { facts: _, ...place } = tokenPlace(found, column);
        const token = openToken(pinned, found, column);
        sealed[column] = token === null ? null : pinned.seal(place, token);
      }
      return { ...row, ...sealed };
    } catch (error) {
      if (isGrantryError(error)) return null;
      throw error;
    }
  }

  /** True while a grant waits for its first access token. */
  async isStale(tenant: string, provider: Provider): Promise<boolean> {
    return (await this.vault.grants.get({ tenant, provider }))?.expiresAt === null;
  }

  /** Sends a request as the holder of a key, and judges what comes back. */
  async call(
    method: string,
    path: string,
    { holder, body, headers = {}, isKeyInBody = false }: CallOptions,
  ): Promise<{ status: number; text: string; headers: Headers }> {
    const response = await fetch(`${this.server.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(holder === null || isKeyInBody ? {} : { authorization: `Bearer ${holder.key}` }),
        ...(body === undefined
          ? {}
          : { 'content-type': typeof body === 'string' ? 'application/x-www-form-urlencoded' : 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    for (const { kind, tenant } of this.hosts.found([text, ...[...response.headers].flat()].join('\n'))) {
      const mayHave = kind === 'access token' && tenant !== null && holder?.may.has(tenant) === true;
      const isCode = kind === 'code';
      if (!mayHave && !isCode)
        this.hosts.violations.add(`a ${kind} of ${tenant ?? 'an app'} came out of ${method} ${pathOnly(path)}`);
    }
    this.#judgeUse(method, path, holder, response.status);
    return { status: response.status, text, headers: response.headers };
  }

  /** A forged key opens nothing, and any other key only what belongs to its tenants. */
  #judgeUse(method: string, path: string, holder: Holder | null, status: number): void {
    if (holder === null || status >= 300) return;
    const tenant = /^\/v1\/(?:tenants|proxy)\/([^/?]+)/.exec(path)?.[1];
    if (holder.name === forger.name || (tenant !== undefined && !holder.acts.has(tenant))) {
      this.hosts.violations.add(`the key ${holder.name} got ${status} from ${method} ${pathOnly(path)}`);
    }
  }

  /** The names of the rows that doctor calls altered. */
  async altered(): Promise<readonly string[]> {
    return (await checkRows(internalsOf(this.vault).open())).altered;
  }

  async #fill(): Promise<void> {
    const { vault, hosts } = this;
    for (const provider of providers) {
      await vault.providers.put(this.simulator.definition(provider));
      const clientSecret = clientSecretOf(provider);
      hosts.own(clientSecret, { kind: 'client secret', tenant: null, origin: this.origin(provider) });
      // Twice, so that the attacker has an older row to put back.
      for (const scopes of [['write'], ['read']]) {
        await vault.apps.put(provider, {
          provider,
          clientId: clientIdOf(provider),
          clientSecret,
          scopes,
          returnTo: [returnTo],
        });
      }
      for (const tenant of tenants) await this.connect(tenant, provider);
    }
    await this.#addKey('admin', 'admin', undefined);
    await this.#addKey('operator', 'operator', undefined);
    for (const tenant of tenants) {
      await this.#addKey(`reader-${tenant}`, 'reader', [tenant]);
      await this.#addKey(`connector-${tenant}`, 'connector', [tenant]);
    }
    // A customer of the same installation, who can write the database.
    await this.#addKey('mallory', 'caller', [mallory]);
    await this.#addKey('mallory-reader', 'reader', [mallory]);
    await this.#addKey('mallory-connector', 'connector', [mallory]);
  }

  async #addKey(name: string, role: ApiKeyRole, of: string[] | undefined): Promise<void> {
    const { key, apiKey } = await this.vault.keys.create(name, { role, ...(of === undefined ? {} : { tenants: of }) });
    this.hold({ name, id: apiKey.id, key: key.reveal() }, role, of ?? [...tenants, mallory]);
  }

  /** Notes a key of the run, and what its holder may do. */
  hold(made: Pick<Holder, 'name' | 'id' | 'key'>, role: ApiKeyRole, acting: readonly string[]): Holder {
    const acts = new Set(acting);
    const getsTokens = role === 'admin' || role === 'reader';
    const holder = { ...made, acts, may: new Set(getsTokens ? acts : []) };
    this.holders.set(made.name, holder);
    this.hosts.callers.set(made.name, acts);
    return holder;
  }

  holder(name: string): Holder {
    const found = this.holders.get(name);
    if (found === undefined) throw new Error(`there is no holder ${name}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    await this.vault.close();
    await this.attacker[Symbol.asyncDispose]();
    await this.simulator.close();
    rmSync(this.#home, { recursive: true, force: true });
  }
}

interface CallOptions {
  /** Null for a browser. */
  readonly holder: Holder | null;
  readonly body?: unknown;
  /** True if the body names the key, so that no header does. */
  readonly isKeyInBody?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

function clientIdOf(provider: string): string {
  return `client-of-${provider}`;
}

function clientSecretOf(provider: string): string {
  return `canary-secret-of-${provider}-8f1c`;
}

function pathOnly(path: string): string {
  return path.split('?')[0]?.replaceAll(/[A-Za-z0-9_-]{30,}/g, '…') ?? '';
}

function vaultOptions({
  home,
  database,
  world,
  logged,
}: {
  home: string;
  database: string;
  world: World;
  logged: string[];
}) {
  const ignore = (): void => {};
  const logger: Logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (message, fields) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`),
  };
  const rootKey = `file:${join(home, 'root.key')}`;
  const unsafeAllowLoopbackProviders = 'the providers are simulated';
  return {
    home,
    database,
    rootKey,
    spool: join(home, 'spool'),
    world,
    logger,
    backgroundRefresh: false,
    unsafeAllowLoopbackProviders,
  };
}
