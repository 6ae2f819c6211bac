import type { KeyObject } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, invalidRequest, isVaultDown } from '../base/errors.ts';
import { uuidSequence } from '../base/ids.ts';
import { assertTimingRule, limits, timesOf } from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { silentMeter } from '../base/meter.ts';
import { systemWorld } from '../base/system-world.ts';
import { silentTracer } from '../base/tracer.ts';
import { randomFraction, type World } from '../base/world.ts';
import { othersWho } from '../base/writers.ts';
import { loadRootKey, parseRootKeySource, type RootKeySource } from '../crypto/root-key.ts';
import { TenantKeys } from '../crypto/tenant-keys.ts';
import {
  inspectGrantTable,
  rowMacsVersion,
  schemaVersion,
  schemaVersionLatest,
} from '../storage/migrations/version.ts';
import { isAnonymous } from '../storage/statements/instance.ts';
import { insertTenantKey, loadTenantKeys } from '../storage/statements/tenant-keys.ts';
import { type OpenedStore, openStore } from '../storage/store.ts';
import { auditWriter } from './audit-writer.ts';
import { Bulkheads } from './bulkhead.ts';
import { type ChangeContext, changeContext, changing } from './changing.ts';
import { checkOptions } from './check-options.ts';
import type { VaultContext } from './context.ts';
import { Guard, type WriteInstance } from './guard/guard.ts';
import { HighWaterMarks } from './guard/high-water-mark.ts';
import { openInstance } from './guard/instance.ts';
import { VaultRowMacs } from './guard/row-macs.ts';
import type { VaultOptions } from './options.ts';
import { ProviderCatalogue } from './provider-catalogue.ts';
import { Reach } from './reach.ts';
import { PendingOutcomes } from './refresh/pending-outcomes.ts';
import { isMissingFile, resolveVaultSettings, usualDatabase, type VaultSettings } from './settings.ts';
import { Spending } from './spending.ts';
import { nonceOf, type Owner, registerOwner } from './spool/owner.ts';
import type { Spool } from './spool/spool.ts';
import { Turns } from './turns.ts';
import type { Vault } from './types.ts';
import { unsafeSwitch } from './unsafe-switch.ts';
import { OpenVault } from './vault.ts';

/**
 * Opens a vault over a database. It makes or migrates Grantry's schema, loads the root key, and commits answers that a
 * crash left in the spool. A warning announces a new vault.
 *
 * Open one vault per process and share it: all callers of a process then share one refresh and one token cache. Close
 * it, or let `await using` do so: closing waits for refreshes that were sent.
 *
 * @param options Everything has a default; see {@link VaultOptions}.
 * @throws {GrantryError} `vault_sealed` without the right root key; `storage_unavailable`; `not_found` if there is no
 * vault and `create` is false; `invalid_request` for bad settings, for another program's table without `takeOver`,
 * for an outdated schema while migrations are off, and for a home or SQLite file that others can write
 *
 * @example
 * await using vault = await openVault({ database: 'sqlite:./grantry.db', rootKey: 'file:./root.key' });
 * const { accessToken } = await vault.getAccessToken({ tenant: 'acme', provider: 'zoho_crm' });
 */
export async function openVault(options: VaultOptions = {}): Promise<Vault> {
  return openAnnouncing(options, async (settings) => {
    const { announceNewVault } = await import('./home.ts');
    announceNewVault(settings, options.logger);
  });
}

/** Opens a vault as {@link openVault} does, for a caller that announces a new vault itself. */
export async function openAnnouncing(
  options: VaultOptions,
  onNewVault: (settings: VaultSettings) => void | Promise<void>,
): Promise<Vault> {
  checkOptions(options);
  if (options.world !== undefined && options.egressProxy !== undefined) {
    throw invalidRequest('The options world and egressProxy exclude each other: a world has a network of its own.');
  }
  const settings = resolveVaultSettings(options);
  const { allowLoopback, egressProxy } = settings;
  const world = options.world ?? systemWorld({ allowLoopback, proxy: egressProxy ?? undefined });
  assertTimingRule(timesOf(world));
  const rootKeySource = parseRootKeySource(settings.rootKey);
  const store = await openDatabase(settings, world, options);
  try {
    const opening = { settings, world, rootKeySource, options, onNewVault };
    return await assemble(store, await prepareSchema(store, opening), opening);
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * Refuses a home or spool that other users can write: they could replace root key, marks and answers.
 *
 * @throws {GrantryError} `invalid_request`
 */
function refuseWritable(place: 'home' | 'spool', path: string): void {
  const writers = othersWho(path, '700');
  if (writers === null) return;
  throw invalidRequest(`The ${place} ${path} is not safe: ${writers.who}.`, { action: writers.action });
}

async function openDatabase(settings: VaultSettings, world: World, options: VaultOptions): Promise<OpenedStore> {
  const { database, home, spool } = settings;
  refuseWritable('home', home);
  refuseWritable('spool', spool);
  if (!settings.create && isMissingFile(database)) {
    const { noVaultError } = await import('./home.ts');
    throw noVaultError(settings, options.create === false);
  }
  if (settings.create && options.database === undefined && database === usualDatabase(home) && !existsSync(home)) {
    const { makeHome } = await import('./home.ts');
    await makeHome(home);
  }
  const { untriedEngine: allowUntriedEngine, poolMax } = settings;
  return openStore({ database, world, logger: options.logger, poolMax, allowUntriedEngine });
}

interface Opening {
  settings: VaultSettings;
  world: World;
  rootKeySource: RootKeySource;
  options: VaultOptions;
  onNewVault: (settings: VaultSettings) => void | Promise<void>;
}

/**
 * Loads the root key and brings the schema up to date. A key is made only together with a new schema: the values of an
 * existing schema are sealed with a key that already exists.
 */
async function prepareSchema(store: OpenedStore, opening: Opening): Promise<KeyObject> {
  const { settings, options, world } = opening;
  const version = await schemaVersion(store);
  if (version > 0) {
    const rootKey = await loadRootKey(opening.rootKeySource);
    if (version !== schemaVersionLatest) await upgrade(store, rootKey, version, opening);
    return rootKey;
  }
  const table = await inspectGrantTable(store);
  const { migrate } = await import('../storage/migrations/migrate.ts');
  if (settings.migrate === 'off' || (table === 'foreign' && options.takeOver !== true)) {
    // This refuses, and names the ways to allow it, before anything is made.
    await migrate(store, { mode: settings.migrate });
  }
  if (!settings.create) {
    const { noVaultError } = await import('./home.ts');
    throw noVaultError(settings, options.create === false);
  }
  await refuseAnonymous(store, settings);
  const rootKey = await firstRootKey(opening);
  if (table === 'foreign') {
    const { takeOverSchema } = await import('./take-over/take-over.ts');
    await takeOverSchema(store, {
      mode: settings.migrate,
      world,
      installation: settings.installation,
      logger: options.logger ?? silentLogger,
    });
  } else await migrate(store, { mode: settings.migrate });
  await opening.onNewVault(settings);
  return rootKey;
}

/** Runs the migrations of an existing vault. The values of 0.1.0 are sealed anew on the way, and its rows get their MACs. */
async function upgrade(
  store: OpenedStore,
  rootKey: KeyObject,
  version: number,
  { settings, world, options }: Opening,
): Promise<void> {
  const { migrate } = await import('../storage/migrations/migrate.ts');
  const mode = settings.migrate;
  if (mode === 'off' || version >= rowMacsVersion) {
    await migrate(store, { mode });
    return;
  }
  const { rowAdoption } = await import('./guard/adopt-rows.ts');
  const { resealVault } = await import('./upkeep/reseal.ts');
  const marks = new HighWaterMarks(settings.home, 'upgrade');
  const { logger = silentLogger } = options;
  const adoptRows = await rowAdoption(store, {
    rootKey,
    world,
    marks,
    reseal: (tx, keys) => resealVault({ tx, kind: store.kind, keys, logger }),
  });
  await migrate(store, { mode, adoptRows });
}

/** Refuses a new vault whose copies could not be told from it. @throws {GrantryError} `invalid_request` */
async function refuseAnonymous(store: OpenedStore, { installation }: VaultSettings): Promise<void> {
  const { location } = await store.location();
  if (installation !== null || !isAnonymous(location)) return;
  throw invalidRequest(
    'This role may not read the identity of the server, so a copy could not be told from the original.',
    {
      action: 'Set GRANTRY_INSTALLATION, or: grant execute on function pg_control_system() to the role.',
    },
  );
}

async function firstRootKey({ rootKeySource, world, settings }: Opening): Promise<KeyObject> {
  if (rootKeySource.kind !== 'file' || settings.migrate === 'off') return loadRootKey(rootKeySource);
  const { makeRootKey } = await import('./home.ts');
  return makeRootKey(rootKeySource.path, world);
}

async function assemble(store: OpenedStore, rootKey: KeyObject, { world, settings, options }: Opening): Promise<Vault> {
  const { logger = silentLogger, onEvent } = options;
  const { installation } = settings;
  let guard: Guard | undefined;
  // The rows of the log carry MACs, so what happens before their key is known is not told.
  const audit = auditWriter(uuidSequence(world));
  const plain = changeContext(store, world, { logger, onEvent, noteEvent: async (event) => guard?.note(event) });
  const changes = { ...plain, audit };
  // The home must not note events of a database that may be a copy.
  const write: WriteInstance = (run) => changing({ ...changes, noteEvent: async () => {} }, run);
  const make: WriteInstance = (run) => changing({ ...plain, noteEvent: async () => {} }, run);
  const instance = await openInstance(store, make, world, { installation, scrubPending: false });
  const keys = openKeys(plain, rootKey, instance.vault_id, options);
  store.protect(new VaultRowMacs({ keys, logger, monotonic: () => world.monotonic() }));
  const owner = registerOwner(world);
  const marks = new HighWaterMarks(settings.home, nonceOf(owner));
  const closing = new AbortController();
  guard = await Guard.open({
    store,
    write,
    marks,
    instance,
    installation,
    logger,
    monotonic: () => world.monotonic(),
    now: () => world.now(),
    spoolKeptMs: timesOf(world).spoolKeptMs,
    recheckMs: timesOf(world).guardRecheckMs,
  });
  noteRowMacs(marks, instance.vault_id, logger);
  const reach = new Reach(world);
  const context: VaultContext = {
    ...changes,
    times: timesOf(world),
    keys,
    reach,
    providers: await ProviderCatalogue.open({
      changes,
      reach,
      allowLoopback: settings.allowLoopback,
      given: options.providers ?? [],
    }),
    spool: lazySpool(settings.spool, owner, () => world.now()),
    spoolDirectory: settings.spool,
    owner,
    bulkheads: new Bulkheads(world, timesOf(world)),
    pendingOutcomes: new PendingOutcomes(),
    spending: new Spending(),
    turns: new Turns(world),
    meter: options.meter ?? silentMeter,
    tracer: options.tracer ?? silentTracer,
    allowLoopback: settings.allowLoopback,
    callerWaitMs: options.callerWaitMs ?? timesOf(world).callerWaitMs,
    condemnedKeptMs: condemnedKeptMs(world, settings),
    guard,
    closing: () => closing.signal.aborted,
  };
  if (instance.scrub_pending !== 0)
    await finishTakeOver(context, store, options, { rootKey, vaultId: instance.vault_id });
  if (options.backgroundRefresh !== false) await warnOfNarrowIndexes(context);
  if (guard.reason === null) await replayAtStart(context);
  if (settings.allowLoopback && options.backgroundRefresh !== false) warnOfUnsafeSwitch(logger);
  return new OpenVault(context, {
    backgroundRefresh: options.backgroundRefresh ?? true,
    staleHandOutMs: options.staleHandOutMs ?? context.times.staleHandOutMs,
    handOutAudit: settings.auditHandOuts,
    close: () => closing.abort(new Error('the vault is closing')),
  });
}

/** A command that ends names the switch in its own environment; a program that runs on may have inherited it. */
function warnOfUnsafeSwitch(logger: Logger): void {
  const { name, means, action } = unsafeSwitch;
  logger.warn(means, { switch: name, action });
}

/** Notes in the home that this vault's rows carry MACs, so that no writer of the database can have others adopted. */
function noteRowMacs(marks: HighWaterMarks, vaultId: string, logger: Logger): void {
  try {
    marks.noteRowMacs(vaultId);
  } catch {
    logger.warn('the home cannot note that the rows of this vault carry MACs', {});
  }
}

/** Warns if another program has put its unique index back. A one-shot program does without this question. */
async function warnOfNarrowIndexes({ store, logger }: VaultContext): Promise<void> {
  const { narrowIndexes, narrowIndexText } = await import('../storage/statements/unique-indexes.ts');
  const found = await narrowIndexes(store);
  if (found.length === 0) return;
  const { text, action } = narrowIndexText(found);
  logger.warn('the grant table has a unique index of another program', { detail: text, action });
}

function openKeys(changes: ChangeContext, rootKey: KeyObject, vaultId: string, options: VaultOptions): TenantKeys {
  return new TenantKeys({
    rootKey,
    vaultId,
    world: changes.world,
    // The cache allocates its full size, so a program that ends after one command uses a small one.
    ...(options.backgroundRefresh === false ? { cacheMax: limits.cacheEntriesOneShot } : {}),
    store: {
      load: (tenant) => loadTenantKeys(changes.store.db, tenant),
      insert: async (key) => {
        await changing(changes, ({ tx }) => insertTenantKey(tx, key));
      },
    },
  });
}

/** Seals rows that another program wrote before any caller may use them, and continues a take-over that was killed. */
async function finishTakeOver(
  context: VaultContext,
  store: OpenedStore,
  options: VaultOptions,
  keys: { rootKey: KeyObject; vaultId: string },
): Promise<void> {
  const { sealTakenOver, scrubTakenOver } = await import('./take-over/take-over.ts');
  const takeOver = options.takeOver === true;
  if (takeOver) await sealTakenOver(context, keys, options.onTakeOver);
  await scrubTakenOver(context, store, { wait: takeOver });
}

function condemnedKeptMs(world: World, { condemnedKeptDays }: VaultSettings): number {
  if (condemnedKeptDays === null) return timesOf(world).condemnedKeptMs;
  return condemnedKeptDays * 86_400_000 * (world.timeScale ?? 1);
}

/** Commits spooled answers: each may hold the newest token of its grant, and no older one may be spent before. */
async function replayAtStart(context: VaultContext): Promise<void> {
  try {
    if (context.guard.failedOver) {
      const { recoverLostTail } = await import('./refresh/failover.ts');
      await recoverLostTail(context);
    } else await replayWaiting(context);
    await finishConsentsAtStart(context);
  } catch (error) {
    // One unreadable answer must not block all other grants; its file stays.
    if (isVaultDown(error)) throw error;
    context.logger.error('the spool could not be replayed', { code: codeOf(error) });
  }
}

async function replayWaiting(context: VaultContext): Promise<void> {
  const names = namesIn(context.spoolDirectory);
  if (names.length === 0) return;
  // A busy vault keeps thousands of files, and a start must not take long.
  const part = { count: limits.spoolSweptAtStart, from: randomFraction(context.world) };
  const since = context.guard.attemptsKnownSince;
  if (since !== null) {
    const { knowsMoreThanDatabase } = await import('./refresh/spool-witness.ts');
    // Before the sweep, which removes old files.
    if (await knowsMoreThanDatabase(context, since, part)) return context.guard.quarantineBehindSpool();
  }
  const spool = await context.spool();
  await spool.sweep({ olderThan: context.world.now() - context.times.spoolKeptMs }, part);
  if (!names.some((name) => name.endsWith('.answer') || name.endsWith('.refused'))) return;
  const { replaySpool } = await import('./refresh/replay.ts');
  await replaySpool(context, { kinds: ['answer', 'refused'] });
}

/** Stores consents whose process died, or lost its database, after the provider had answered. */
async function finishConsentsAtStart(context: VaultContext): Promise<void> {
  if (context.guard.reason !== null || namesIn(join(context.spoolDirectory, 'consents')).length === 0) return;
  const { finishConsents } = await import('./connect/finish-consents.ts');
  await finishConsents(context, { unread: true });
}

/** Lists files synchronously: an asynchronous call would start a thread pool that most starts do not need. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function lazySpool(directory: string, owner: Owner, now: () => number): () => Promise<Spool> {
  let spool: Promise<Spool> | undefined;
  return () => {
    spool ??= import('./spool/spool.ts').then((module) => new module.Spool(directory, owner, now));
    return spool;
  };
}
