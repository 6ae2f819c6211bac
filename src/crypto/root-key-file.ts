import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { assert, GrantryError } from '../base/errors.ts';
import { systemCodeOf } from '../base/system-error.ts';
import type { World } from '../base/world.ts';
import { loadRootKey } from './root-key.ts';
import { encodeKeyText, rootKeyBytes, weaknessOf } from './root-key-text.ts';

/**
 * Creates a file with a new random root key that only its owner can read, and returns the key in that file.
 *
 * Any number of processes may call this for one path at once: all get the same key, and none reads half a file. An
 * existing file is never changed. Once this resolves, the key survives a power failure.
 *
 * @throws {GrantryError} `vault_sealed` when the file cannot be made, or holds no usable key.
 */
export async function createRootKeyFile(path: string, world: World): Promise<KeyObject> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // An existing key may lie on a read-only file system.
    if (!existsSync(path)) await writeOnce(path, world);
    // Sync even when another process made the file: that process may die before its own sync.
    await syncDirectory(dirname(path));
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    const code = systemCodeOf(error) ?? 'unknown error';
    throw new GrantryError('vault_sealed', `The root key file ${path} cannot be made (${code}).`, {
      action: 'Make its directory writable, or name another file with GRANTRY_ROOT_KEY.',
      cause: error,
    });
  }
  return loadRootKey({ kind: 'file', path });
}

/** Writes a temporary file, then links it: a link appears whole or not at all, and never replaces a file. */
async function writeOnce(path: string, world: World): Promise<void> {
  const temporary = `${path}.${Buffer.from(world.randomBytes(8)).toString('hex')}.new`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await writeKey(file, world);
    } finally {
      await file.close();
    }
    await link(temporary, path);
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error;
  } finally {
    await unlink(temporary);
  }
}

async function writeKey(file: Awaited<ReturnType<typeof open>>, world: World): Promise<void> {
  const key = world.randomBytes(rootKeyBytes);
  assert(weaknessOf(key) === undefined, 'the random source gives a strong key');
  const text = encodeKeyText(key);
  key.fill(0);
  await file.writeFile(text);
  text.fill(0);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
