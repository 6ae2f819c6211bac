import type { KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GrantryError } from '../base/errors.ts';
import type { World } from '../base/world.ts';
import { createRootKeyFile } from '../crypto/root-key-file.ts';

/** Creates the home directory, readable only by its owner. @throws {GrantryError} `storage_unavailable` */
export async function makeHome(home: string): Promise<void> {
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new GrantryError('storage_unavailable', `The home directory ${home} cannot be created.`, {
      action: 'Set GRANTRY_HOME to a writable directory.',
      cause: error,
    });
  }
}

/** Creates the root key file, or reads the existing one. */
export async function makeRootKey(path: string, world: World): Promise<KeyObject> {
  await makeHome(dirname(path));
  return createRootKeyFile(path, world);
}
