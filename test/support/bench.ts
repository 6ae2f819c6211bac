/**
 * A bench for the vault: vaults over one scratch database, each in its own world, and simulated providers whose history
 * judges them. Tests move the time and do not wait for it; PostgreSQL's clock moves too.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { expect } from 'vitest';
import { isGrantryError } from '../../src/base/errors.ts';
import { checkKey, type GrantKey } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { ProviderDefinitionInput } from '../../src/providers/definition.ts';
import {
  createSimulator,
  demoClient,
  fingerprintOf,
  type HistoryEvent,
  type MintedTokens,
  type OAuthProfile,
  type Simulator,
  startSimulator,
} from '../../src/simulator/index.ts';
import { listEvents } from '../../src/storage/statements/events.ts';
import { findGrant, type GrantRow } from '../../src/storage/statements/grants.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import type { VaultOptions } from '../../src/vault/options.ts';
import { retireOwner } from '../../src/vault/spool/owner.ts';
import type { Vault } from '../../src/vault/types.ts';
import { duties } from '../../src/vault/upkeep/upkeep.ts';
import { TestClock } from './clock.ts';
import { isBusy } from './in-flight.ts';
import { scratchDatabase, scratchSqlite } from './postgres.ts';
import { TestWorld } from './world.ts';

export const databaseKinds = ['sqlite', 'postgres'] as const;
export type DatabaseKind = (typeof databaseKinds)[number];

/** Kept until the end, so that the garbage collector does not close what a dead process left open. */
const dead: TestWorld[] = [];

/** Long enough for any machine: what does not hold by then never will. */
const patienceMs = 120_000;
/** Longest wait for a calm: workers that look all the time leave none. */
const settledMsMax = 5_000;

export const user = 'user@us.example';

export interface BenchOptions {
  kind?: DatabaseKind;
  /** Simulated providers; defaults to `strict`. */
  profiles?: readonly (string | OAuthProfile)[];
  /** Makes the simulator listen on ports, for other processes. */
  listen?: boolean;
  /** Changes the providers' definitions. */
  change?: (definition: ProviderDefinitionInput) => ProviderDefinitionInput;
}

export interface Connected {
  readonly key: GrantKey;
  readonly minted: MintedTokens;
}

/** Creates a bench; `await using` closes its vaults and drops its database. */
export async function makeBench(options: BenchOptions = {}): Promise<Bench> {
  const clock = new TestClock();
  const profiles = options.profiles ?? ['strict'];
  const parts = {
    profiles,
    autoApprove: true,
    now: () => clock.now(),
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
  };
  const simulator = options.listen === true ? await startSimulator(parts) : createSimulator(parts);
  const scratch = options.kind === 'postgres' ? await scratchDatabase() : scratchSqlite();
  const mover = options.kind === 'postgres' ? await makeMovable(scratch.database) : null;
  const directory = mkdtempSync(join(tmpdir(), 'grantry-bench-'));
  const world = new TestWorld(simulator, clock);
  const ids = profiles.map((profile) => (typeof profile === 'string' ? profile : profile.id));
  const custom = ids.filter((id) => id !== 'zoho').map((id) => simulator.definition(id));
  const providers = custom.map(options.change ?? ((definition) => definition));
  const judge = await openStore({ database: scratch.database, world });
  return new Bench({ kind: options.kind ?? 'sqlite', clock, simulator, scratch, directory, providers, judge, mover });
}

interface Parts {
  kind: DatabaseKind;
  clock: TestClock;
  simulator: Simulator;
  scratch: { database: string; drop(): Promise<void> };
  directory: string;
  providers: readonly ProviderDefinitionInput[];
  judge: OpenedStore;
  mover: Client | null;
}

export class Bench implements AsyncDisposable {
  readonly kind: DatabaseKind;
  readonly clock: TestClock;
  readonly simulator: Simulator;
  readonly database: string;
  /** Home of all vaults, with the root key and the spool. */
  readonly home: string;
  readonly providers: readonly ProviderDefinitionInput[];
  /** A second connection to the database, for assertions on stored rows. */
  readonly judge: OpenedStore;
  readonly #parts: Parts;
  readonly #vaults: { vault: Vault; world: TestWorld }[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.kind = parts.kind;
    this.clock = parts.clock;
    this.simulator = parts.simulator;
    this.database = parts.scratch.database;
    this.home = parts.directory;
    this.providers = parts.providers;
    this.judge = parts.judge;
  }

  /** Creates the world of one process on the bench's clock and network. */
  world(): TestWorld {
    return new TestWorld(this.simulator, this.clock);
  }

  /** Opens one more vault, as another process would. */
  async open(options: VaultOptions = {}): Promise<{ vault: Vault; world: TestWorld }> {
    const world = options.world instanceof TestWorld ? options.world : this.world();
    const vault = await openVault({
      logger: silentLogger,
      database: this.database,
      home: this.home,
      rootKey: `file:${join(this.home, 'root.key')}`,
      spool: join(this.home, 'spool'),
      providers: this.providers,
      unsafeAllowLoopbackProviders: 'simulated providers may listen on loopback ports',
      ...options,
      world,
    });
    const opened = { vault, world };
    this.#vaults.push(opened);
    return opened;
  }

  /** Ends a process as `kill -9` does: its pending work never returns, and other processes see it as dead. */
  async crash(opened: { vault: Vault; world: TestWorld }): Promise<void> {
    opened.world.freeze();
    dead.push(opened.world);
    const index = this.#vaults.findIndex((each) => each.vault === opened.vault);
    this.#vaults.splice(index, 1);
    const rows = await this.judge.db
      .selectFrom('oauth_tokens')
      .select('lease_owner')
      .where('lease_owner', 'is not', null)
      .execute();
    for (const { lease_owner: id } of rows) if (id !== null) retireOwner({ id, host: '', pid: 0 });
  }

  /** Registers the demo client as an app, once per provider. */
  async addApp(vault: Vault, provider: string): Promise<void> {
    if ((await vault.apps.get(provider)) !== null) return;
    const clientSecret = demoClient.secret ?? '';
    await vault.apps.put(provider, { provider, clientId: demoClient.clientId, clientSecret });
  }

  /** Stores a grant that the simulator made; its access token has `expiresIn` seconds left, or is not stored at all. */
  async connect(
    vault: Vault,
    options: { tenant?: string; provider?: string; expiresIn?: number; profile?: string } = {},
  ): Promise<Connected> {
    const { tenant = 'acme', provider = 'strict', expiresIn } = options;
    await this.addApp(vault, provider);
    const profile = options.profile ?? provider;
    const scopes = profile === 'zoho' ? ['ZohoCRM.modules.ALL'] : ['read'];
    const minted = this.simulator.mintTokens({ profile, clientId: demoClient.clientId, user, scopes });
    const key = { tenant, provider };
    const { refreshToken, accessToken } = minted;
    await vault.storeTokens(key, {
      refreshToken,
      ...(expiresIn === undefined ? {} : { accessToken, expiresIn }),
      ...(profile === 'zoho' ? { metadata: { dc: 'us' } } : {}),
    });
    return { key, minted };
  }

  async row(key: GrantKey): Promise<GrantRow> {
    const row = await findGrant(this.judge.db, checkKey(key));
    if (row === undefined) throw new Error('no such row');
    return row;
  }

  /** Returns the types of a grant's recorded state changes, oldest first. */
  async events(key: GrantKey): Promise<string[]> {
    const row = await this.row(key);
    const events = await listEvents(this.judge.db, { tenant: key.tenant, grantId: row.id, limit: 500 });
    return events.map((event) => event.type.replace('grant.', ''));
  }

  /** Returns the token requests that reached the provider. */
  requests(): HistoryEvent[] {
    return this.simulator.history.events().filter((event) => event.kind === 'token');
  }

  /** Moves the clock of all processes at once. */
  async jump(ms: number): Promise<void> {
    if (this.#parts.mover !== null) {
      await this.#parts.mover.query('update test_clock.moved set ms = ms + $1', [ms]);
    }
    this.clock.jump(ms);
    await settled();
  }

  /** Advances the clock in steps short enough that leases are renewed, until `done` or until the time has passed. */
  async pass(ms: number, done: () => boolean = () => false): Promise<void> {
    const stepMs = 500;
    for (let passed = 0; passed < ms && !done(); passed += stepMs) await this.jump(Math.min(stepMs, ms - passed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.simulator.close();
    for (const { world } of this.#vaults) world.thaw();
    await Promise.all(this.#vaults.map(({ vault }) => vault.close()));
    await this.judge.close();
    await this.#parts.mover?.end();
    await this.#parts.scratch.drop();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Lets woken tasks run: returns after so many rounds in which neither disk nor database had work. */
export async function settled(rounds = 4): Promise<void> {
  const givenUpAt = performance.now() + settledMsMax;
  for (let calm = 0; calm < rounds && performance.now() < givenUpAt; ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    calm = isBusy() ? 0 : calm + 1;
  }
}

/** Waits in real time until a condition holds. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endsAt = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > endsAt) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Does the upkeep of the workers once, one duty after the other. */
export async function tidyUp(vault: Vault): Promise<void> {
  for (const duty of duties) await duty(internalsOf(vault).open());
}

/** Blocks other processes from writing grants, as a long transaction does. */
export async function whileLocked(bench: Bench, run: () => Promise<void>): Promise<void> {
  if (bench.kind === 'sqlite') {
    const database = new DatabaseSync(bench.database.slice('sqlite:'.length), { timeout: 60_000 });
    try {
      database.exec('begin immediate');
      await run();
    } finally {
      database.close();
    }
    return;
  }
  const client = new Client({ connectionString: bench.database });
  await client.connect();
  try {
    await client.query('begin; lock table oauth_tokens in exclusive mode');
    await run();
  } finally {
    await client.end();
  }
}

/** Returns the code of a promise's rejection; fails when it is fulfilled or rejected with another error. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isGrantryError(error)) return error.code;
    throw error;
  }
  return expect.unreachable('it was not refused');
}

/** Returns the name of a token in the provider's history. */
export const nameOfToken = fingerprintOf;

/** Puts a clock of the test before PostgreSQL's, in this database only. */
async function makeMovable(database: string): Promise<Client> {
  const client = new Client({ connectionString: database });
  await client.connect();
  await client.query(`
    create schema test_clock;
    create table test_clock.moved (ms double precision not null);
    insert into test_clock.moved values (0);
    create function test_clock.clock_timestamp() returns timestamptz language sql volatile as
      $$ select pg_catalog.clock_timestamp() + (select ms from test_clock.moved) * interval '1 millisecond' $$;
    do $$ begin execute format('alter database %I set search_path = public, test_clock, pg_catalog', current_database()); end $$`);
  return client;
}
