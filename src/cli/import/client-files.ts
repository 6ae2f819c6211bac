import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { usageError } from '../terminal/errors.ts';
import { tenantInName } from './client-file.ts';

/** More files than tenants in practice: beyond it, the directory is probably wrong. */
const filesMax = 10_000;

/** The files to import, and those of a directory that look like env files and name no tenant. */
export interface ClientFiles {
  readonly files: readonly string[];
  readonly passedOver: readonly string[];
}

/**
 * Lists the files that the arguments name, and the env files of directories in the order of their names.
 *
 * @throws {GrantryError} `invalid_request` for a directory where none is allowed, or one without such files
 */
export async function listClientFiles(
  paths: readonly string[],
  options: { directories: boolean },
): Promise<ClientFiles> {
  const files: string[] = [];
  const passedOver: string[] = [];
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
      throw usageError(
        `${path} is a directory.`,
        'Add --tenant-from-name: NAME.env and .env.NAME are then tenant NAME.',
      );
    else {
      const found = await filesOf(path);
      files.push(...found.files);
      passedOver.push(...found.passedOver);
    }
  }
  if (files.length > filesMax) throw usageError(`${files.length} files are more than the ${filesMax} of one import.`);
  return { files, passedOver };
}

async function filesOf(directory: string): Promise<ClientFiles> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name)
    .filter((name) => name.endsWith('.env') || name.startsWith('.env.'))
    .sort();
  const named = names.filter((name) => tenantInName(name) !== null);
  if (named.length === 0) throw usageError(`${directory} holds no files named NAME.env or .env.NAME.`);
  const pathOf = (name: string): string => join(directory, name);
  return {
    files: named.map(pathOf),
    passedOver: names.filter((name) => !named.includes(name)).map(pathOf),
  };
}
