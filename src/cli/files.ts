import { open } from 'node:fs/promises';
import { GrantryError } from '../base/errors.ts';
import { usageError } from './terminal/errors.ts';

/** Reads a regular file of limited size. @throws {GrantryError} `invalid_request`, `payload_too_large` */
export async function readSmallFile(path: string, bytesMax: number): Promise<Uint8Array> {
  if (path === '' || path.includes('\0'))
    throw usageError('A file name is empty or has a zero character.', 'Check the arguments.');
  const file = await open(path, 'r');
  try {
    const state = await file.stat();
    if (state.isDirectory()) throw usageError(`${path} is a directory.`, 'Name a file.');
    // A pipe (`<(command)`) has no size: it is read up to the limit.
    const bytes = Buffer.alloc(state.isFile() ? Math.min(state.size, bytesMax) + 1 : bytesMax + 1);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, null);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    if (filled > bytesMax || (state.isFile() && state.size > bytesMax)) {
      throw new GrantryError('payload_too_large', `${path} is larger than ${bytesMax} bytes.`);
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}
