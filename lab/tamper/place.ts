import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { openVault, type Vault } from '../../src/index.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';
import { createSimulator, type Simulator } from '../../src/simulator/index.ts';
import { checkRows } from '../../src/vault/guard/check-rows.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { patient } from '../../test/support/patient-limits.ts';
import { type Attacker, openAttacker } from './attacker.ts';
import { Hosts } from './hosts.ts';

export const tenants = ['acme', 'globex', 'initech', 'umbrella'] as const;
export const providers = ['none', 'retire_on_use'] as const;
export type Provider = (typeof providers)[number];

/** The tenant's backend, at which no server listens. */
export const returnTo = 'https://app.example/connected';

/** A key of the run, and the tenants whose access tokens its holder may get. */
export interface Holder {
  readonly key: string;
  readonly may: ReadonlySet<string>;
}

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

  /** Stores a grant with new tokens of the provider. Without the access token, the next caller's token is a refreshed one. */
  async connect(tenant: string, provider: Provider, options: { stale?: boolean } = {}): Promise<void> {
    const consent = { profile: provider, clientId: clientIdOf(provider), user: 'user@us.example', scopes: ['read'] };
    const { refreshToken, accessToken } = this.simulator.mintTokens(consent);
    const canary = { tenant, origin: this.origin(provider) };
    this.hosts.own(refreshToken, { ...canary, kind: 'refresh token' });
    this.hosts.own(accessToken, { ...canary, kind: 'access token' });
    const fresh = options.stale === true ? {} : { accessToken, expiresIn: 3_600 };
    await this.vault.storeTokens({ tenant, provider }, { app: provider, refreshToken, ...fresh });
  }

  /** True while a grant waits for its first access token. */
  async isStale(tenant: string, provider: Provider): Promise<boolean> {
    return (await this.vault.grants.get({ tenant, provider }))?.expiresAt === null;
  }

  /** Sends a request as the holder of a key, and judges what comes back. */
  async call(
    method: string,
    path: string,
    { holder, body, headers = {} }: CallOptions,
  ): Promise<{ status: number; text: string; headers: Headers }> {
    const response = await fetch(`${this.server.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(holder === null ? {} : { authorization: `Bearer ${holder.key}` }),
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
    return { status: response.status, text, headers: response.headers };
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
    const all: ReadonlySet<string> = new Set(tenants);
    await this.#addKey('admin', 'admin', undefined, all);
    await this.#addKey('operator', 'operator', undefined, new Set());
    for (const tenant of tenants) await this.#addKey(`reader-${tenant}`, 'reader', [tenant], new Set([tenant]));
    await this.#addKey('mallory', 'caller', ['mallory'], new Set());
  }

  async #addKey(
    name: string,
    role: 'admin' | 'operator' | 'reader' | 'caller',
    of: string[] | undefined,
    may: ReadonlySet<string>,
  ): Promise<void> {
    const { key } = await this.vault.keys.create(name, { role, ...(of === undefined ? {} : { tenants: of }) });
    this.holders.set(name, { key: key.reveal(), may });
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
  readonly headers?: Readonly<Record<string, string>>;
}

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
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
