import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { lookInto } from './depth.ts';
import { isMissing } from './files.ts';

/**
 * Names the shards and the files with uncommitted answers that this process may not read.
 *
 * @throws {GrantryError} `storage_unavailable` if the directory cannot be read
 */
export async function unreadableParts(directory: string): Promise<readonly string[]> {
  const { folder, files } = await lookInto(directory);
  const closed: string[] = [...folder.unreadable];
  for (const { path, name } of files) {
    if (name.kind === 'waiting' || name.kind === 'saved') continue;
    await access(folder.at(path), constants.R_OK).catch((error: unknown) => {
      if (!isMissing(error)) closed.push(folder.at(path));
    });
  }
  return closed;
}
