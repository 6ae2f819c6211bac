import type { KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GrantryError } from '../base/errors.ts';
import type { World } from '../base/world.ts';
import { createRootKeyFile } from '../crypto/root-key-file.ts';

/** Makes the home, for its owner alone. @throws {GrantryError} `storage_unavailable` */
export async function makeHome(home: string): Promise<void> {
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new GrantryError('storage_unavailable', `The home ${home} cannot be made.`, {
      action: 'Set GRANTRY_HOME to a directory that can be written.',
      cause: error,
    });
  }
}

/** Makes the root key file, or reads the one that is there. */
export async function makeRootKey(path: string, world: World): Promise<KeyObject> {
  await makeHome(dirname(path));
  return createRootKeyFile(path, world);
}
