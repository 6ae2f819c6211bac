import { existsSync, mkdirSync } from 'node:fs';
import type { Command } from 'commander';
import { GrantryError } from '../base/errors.ts';
import { systemWorld } from '../base/system-world.ts';
import type { World } from '../base/world.ts';
import type { GrantryClient } from '../client/index.ts';
import { openVault } from '../vault/open.ts';
import type { VaultOptions } from '../vault/options.ts';
import type { Vault } from '../vault/types.ts';
import { stderrLogger } from './log.ts';
import { globalHeading } from './options.ts';
import { type GlobalFlags, resolveSettings, type Settings, usualDatabase } from './settings.ts';
import { type Output, processOutput } from './terminal/output.ts';
import { withProgress } from './terminal/progress.ts';

/** What every command works with. */
export interface Context {
  readonly settings: Settings;
  readonly output: Output;
  readonly world: World;
}

/** The context for flags that were already read. */
export function contextFor(flags: GlobalFlags): Context {
  const settings = resolveSettings(flags, process.env);
  const world = systemWorld({
    allowLoopback: settings.unsafeAllowLoopbackProviders !== undefined,
    // The server may well stand in a private network; no provider is spoken to from here then.
    anywhere: settings.server !== undefined,
  });
  return { settings, output: processOutput(settings.json), world };
}

/** The context of a command that was parsed; a flag nearer to the command wins. */
export function contextOf(command: Command): Context {
  const flags: GlobalFlags = {};
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const given: GlobalFlags = at.opts();
    flags.home ??= given.home;
    flags.database ??= given.database;
    flags.rootKey ??= given.rootKey;
    flags.installation ??= given.installation;
    flags.spool ??= given.spool;
    flags.publicUrl ??= given.publicUrl;
    flags.url ??= given.url;
    flags.logLevel ??= given.logLevel;
    if (hasGlobalTenant(at)) flags.tenant ??= given.tenant;
    flags.json ??= given.json;
    flags.verbose ??= given.verbose;
  }
  return contextFor(flags);
}

/** Some commands have a --tenant of their own, which says something else than who the current tenant is. */
function hasGlobalTenant(command: Command): boolean {
  return command.options.some((option) => option.long === '--tenant' && option.helpGroupHeading === globalHeading);
}

/** The options with which the command line opens a vault. */
export function vaultOptions(context: Context): VaultOptions {
  const { settings, world } = context;
  return {
    home: settings.home,
    database: settings.database,
    rootKey: settings.rootKey,
    spool: settings.spool,
    installation: settings.installation,
    migrate: settings.migrate,
    unsafeAllowLoopbackProviders: settings.unsafeAllowLoopbackProviders,
    logger: stderrLogger(world, settings),
    world,
    // A program that ends at once must not leave a refresh half done behind its answer.
    backgroundRefresh: false,
  };
}

/**
 * Opens the vault that is there, the server's where one is named; the caller closes it with `await using`. Nobody who
 * only looks at grants, or mistypes a home, gets a new database and a new key without a word.
 *
 * @param show `light`: nobody asks this vault whether it is quarantined, which a server is asked for
 * @throws {GrantryError} `not_found` when there is no database yet, and whatever `openVault` throws
 */
export async function openContextVault(
  context: Context,
  options: VaultOptions = {},
  show: { quiet?: boolean; light?: boolean } = {},
): Promise<Vault> {
  if (context.settings.server !== undefined) return openServer(context, context.settings.server, show);
  if (!databaseExists(context)) {
    throw new GrantryError('not_found', `There is no vault yet: ${sqliteFile(context)} does not exist.`, {
      action: 'Make one with grantry init, or name the one that is meant with --home or --database.',
    });
  }
  return open(context, options, show);
}

/** Opens the vault, and makes home, database and root key where there are none; for commands that bring something in. */
export async function makeContextVault(
  context: Context,
  options: VaultOptions = {},
  show: { quiet?: boolean } = {},
): Promise<Vault> {
  if (context.settings.server !== undefined) return openServer(context, context.settings.server, { light: true });
  makeUsualPlace(context.settings);
  return open(context, options, show);
}

/**
 * Opens the vault behind a server.
 *
 * @param show `light`: the server is not asked whether it is quarantined
 * @throws {GrantryError} `unauthorized` without an API key
 */
export async function openServer(
  { world }: Context,
  { url, apiKey }: NonNullable<Settings['server']>,
  show: { light?: boolean } = {},
): Promise<GrantryClient> {
  const { createClient } = await import('../client/index.ts');
  if (apiKey === undefined) {
    throw new GrantryError('unauthorized', 'GRANTRY_URL names a server, and GRANTRY_API_KEY is not set.', {
      action: 'Set GRANTRY_API_KEY to a key of that server, or unset GRANTRY_URL.',
    });
  }
  const vault = createClient({ url, apiKey, world });
  if (show.light !== true) await vault.checkQuarantine();
  return vault;
}

/** For commands that are about a database, and not about what a server does with one. @throws {GrantryError} */
export function refuseServer({ settings }: Context, command: string): void {
  if (settings.server === undefined) return;
  throw new GrantryError('invalid_request', `grantry ${command} works on a database, and GRANTRY_URL names a server.`, {
    action: 'Run it where the database is, without GRANTRY_URL.',
  });
}

function open(context: Context, options: VaultOptions, show: { quiet?: boolean }): Promise<Vault> {
  const opening = (): Promise<Vault> => openVault({ ...vaultOptions(context), ...options });
  return show.quiet === true ? opening() : withProgress(context.world, 'Opening the vault', opening);
}

/** The home is made for the database that stands in it by default; a place that somebody named must be there. */
function makeUsualPlace({ home, database }: Settings): void {
  if (database === usualDatabase(home) && !existsSync(home)) mkdirSync(home, { recursive: true, mode: 0o700 });
}

/** False for a SQLite file that is not there yet; opening it would make it. */
export function databaseExists(context: Context): boolean {
  const file = sqliteFile(context);
  return file === null || existsSync(file);
}

function sqliteFile({ settings: { database } }: Context): string | null {
  return database.startsWith('sqlite:') ? database.slice('sqlite:'.length) : null;
}
