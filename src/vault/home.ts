import type { KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GrantryError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { World } from '../base/world.ts';
import { createRootKeyFile } from '../crypto/root-key-file.ts';
import { describeRootKeySource, parseRootKeySource } from '../crypto/root-key-source.ts';
import { isMissingFile, type VaultSettings } from './settings.ts';

/** Makes the home, readable only by its owner. @throws {GrantryError} `storage_unavailable` */
export async function makeHome(home: string): Promise<void> {
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new GrantryError('storage_unavailable', `The home ${home} cannot be made.`, {
      action: 'Set GRANTRY_HOME to a directory in which this user may write.',
      cause: error,
    });
  }
}

/** Makes the root key file, or reads the existing one. */
export async function makeRootKey(path: string, world: World): Promise<KeyObject> {
  await makeHome(dirname(path));
  return createRootKeyFile(path, world);
}

/** The error of an opening that may not make a vault. @param asked true when the caller passed `create: false` */
export function noVaultError({ database }: VaultSettings, asked: boolean): GrantryError {
  const lack = isMissingFile(database) ? 'does not exist' : 'holds no vault';
  const make = asked ? 'grantry init, or create: true in a program' : 'GRANTRY_CREATE=on grantry init';
  return new GrantryError('not_found', `There is no vault yet: ${databaseName(database)} ${lack}.`, {
    action: `Make one with ${make}; or name another with GRANTRY_HOME or GRANTRY_DATABASE.`,
  });
}

/** Announces a new vault. A mistyped home makes one as well, and no grant is found in it. */
export function announceNewVault(settings: VaultSettings, logger: Logger | undefined): void {
  const database = databaseName(settings.database);
  const rootKey = describeRootKeySource(parseRootKeySource(settings.rootKey));
  if (logger !== undefined) return logger.warn('made a new vault', { database, root_key: rootKey });
  process.emitWarning(`Grantry made a new vault in ${database}; its root key is in ${rootKey}.`, {
    code: 'GRANTRY_NEW_VAULT',
    detail: 'If grants exist elsewhere, check GRANTRY_HOME and GRANTRY_DATABASE. create: false never makes a vault.',
  });
}

/** A database's name without user and password. */
export function databaseName(database: string): string {
  if (database.startsWith('sqlite:')) return database;
  if (!URL.canParse(database)) return 'postgres';
  const url = new URL(database);
  return `postgres://${url.host}${url.pathname}`;
}
