import { existsSync, mkdirSync } from 'node:fs';
import type { Command } from 'commander';
import { GrantryError } from '../base/errors.ts';
import { systemWorld } from '../base/system-world.ts';
import type { World } from '../base/world.ts';
import type { GrantryClient } from '../client/index.ts';
import { internalsOf } from '../vault/internals.ts';
import { openAnnouncing, openVault } from '../vault/open.ts';
import type { VaultOptions } from '../vault/options.ts';
import { isMissingFile, settings as table, usualDatabase } from '../vault/settings.ts';
import type { Vault } from '../vault/types.ts';
import { stderrLogger } from './log.ts';
import { type GlobalFlags, resolveSettings, type Settings } from './settings.ts';
import { finishBeforeEnd } from './signals.ts';
import { globalHeading } from './terminal/global-heading.ts';
import { type Output, processOutput } from './terminal/output.ts';
import { withProgress } from './terminal/progress.ts';

/** The surroundings of a command: its settings, its output, time and network. */
export interface Context {
  readonly settings: Settings;
  readonly output: Output;
  readonly world: World;
}

/** The context for flags that were already read. */
export function contextFor(flags: GlobalFlags): Context {
  const settings = resolveSettings(flags, process.env);
  const world = systemWorld({
    allowLoopback: settings.allowLoopback,
    // The server may be in a private network, and no provider is called from here then.
    anywhere: settings.server !== undefined,
    proxy: settings.egressProxy ?? undefined,
  });
  return { settings, output: processOutput(settings.json), world };
}

/** The context of a command that was parsed; a flag nearer to the command wins. */
export function contextOf(command: Command): Context {
  const flags: GlobalFlags = {};
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const { tenant, ...given } = at.opts<GlobalFlags>();
    Object.assign(flags, { ...given, ...flags });
    if (hasGlobalTenant(at)) flags.tenant ??= tenant;
  }
  return contextFor(flags);
}

/** Some commands have a --tenant of their own, which does not name the current tenant. */
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
    installation: settings.installation ?? undefined,
    migrate: settings.migrate,
    unsafeAllowLoopbackProviders: settings.allowLoopback
      ? `${table.unsafeAllowLoopbackProviders.variable}=1`
      : undefined,
    poolMax: settings.poolMax,
    logger: stderrLogger(world, settings),
    world,
    // A command ends at once, and must not leave a background refresh half done.
    backgroundRefresh: false,
  };
}

/**
 * Opens the existing vault, or the server's where one is named; the caller closes it with `await using`. It never makes a
 * vault: a mistyped home must not give a new database and a new key.
 *
 * @param show `light` does not ask a server for its quarantine
 * @throws {GrantryError} `not_found` when there is no vault, and the errors of `openVault`
 */
export async function openContextVault(
  context: Context,
  options: VaultOptions = {},
  show: { quiet?: boolean; light?: boolean } = {},
): Promise<Vault> {
  if (context.settings.server !== undefined) return openServer(context, context.settings.server, show);
  return withOpening(context, show, () => openVault({ ...vaultOptions(context), create: false, ...options }));
}

/**
 * Opens the vault, and makes home, database and root key where there are none; for commands that bring something in. A new
 * vault is announced on stderr, by the logger where the caller has one.
 */
export async function makeContextVault(
  context: Context,
  options: VaultOptions = {},
  show: { quiet?: boolean } = {},
): Promise<Vault> {
  const { settings, output } = context;
  if (settings.server !== undefined) return openServer(context, settings.server, { light: true });
  makeUsualPlace(settings);
  const all = { ...vaultOptions(context), ...options };
  return withOpening(context, show, () =>
    options.logger === undefined
      ? openAnnouncing(all, () => output.note(`Made a new vault in ${settings.home}.`))
      : openVault(all),
  );
}

/**
 * Opens the vault behind a server.
 *
 * @param show `light` does not ask the server for its quarantine
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

/** Refuses a command that works on a database while a server is named. @throws {GrantryError} `invalid_request` */
export function refuseServer({ settings }: Context, command: string): void {
  if (settings.server === undefined) return;
  throw new GrantryError('invalid_request', `grantry ${command} works on a database, and GRANTRY_URL names a server.`, {
    action: 'Run it where the database is, without GRANTRY_URL.',
  });
}

async function withOpening(context: Context, show: { quiet?: boolean }, open: () => Promise<Vault>): Promise<Vault> {
  const vault = await (show.quiet === true ? open() : withProgress(context.world, 'Opening the vault', open));
  finishBeforeEnd(internalsOf(vault));
  return vault;
}

/** Makes the home for its default database; a directory that the caller named for a database must exist. */
function makeUsualPlace({ home, database, create }: Settings): void {
  if (create && database === usualDatabase(home) && !existsSync(home))
    mkdirSync(home, { recursive: true, mode: 0o700 });
}

/** False for a SQLite file that does not exist; opening it would make it. */
export function databaseExists({ settings: { database } }: Context): boolean {
  return !isMissingFile(database);
}
