import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { usageError } from '../terminal/errors.ts';
import { envFileEnd } from './client-file.ts';

/** More files than tenants in practice: beyond it, the directory is probably wrong. */
const filesMax = 10_000;

/**
 * Lists the files that the arguments name, and the `.env` files of directories in the order of their names.
 *
 * @throws {GrantryError} `invalid_request` for a directory where none is allowed, or one without such files
 */
export async function listClientFiles(
  paths: readonly string[],
  options: { directories: boolean },
): Promise<readonly string[]> {
  const files: string[] = [];
  for (const path of paths) {
    if (path === '' || path.includes('\0'))
      throw usageError('A file name is empty or has a zero character.', 'Check the arguments.');
    const state = await stat(path).catch((error: NodeJS.ErrnoException) => {
      // A missing file is reported in its row, as every bad file.
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (state?.isDirectory() !== true) files.push(path);
    else if (!options.directories)
      throw usageError(`${path} is a directory.`, 'Add --tenant-from-name: NAME.env is then tenant NAME.');
    else files.push(...(await filesOf(path)));
  }
  if (files.length > filesMax) throw usageError(`${files.length} files are more than the ${filesMax} of one import.`);
  return files;
}

async function filesOf(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries
    .filter((entry) => !entry.isDirectory() && entry.name.endsWith(envFileEnd) && entry.name !== envFileEnd)
    .map((entry) => entry.name)
    .sort();
  if (names.length === 0) throw usageError(`${directory} holds no files that end in ${envFileEnd}.`);
  return names.map((name) => join(directory, name));
}
