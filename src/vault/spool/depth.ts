import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { isMissing } from './files.ts';
import { type SpoolFile, SpoolFolder } from './folder.ts';
import { type SpoolKind, shards } from './names.ts';

/** The number of files of each kind. */
export type SpoolDepth = Readonly<Record<SpoolKind, number>>;

/**
 * Counts the files in a spool without opening one.
 *
 * @throws {GrantryError} `storage_unavailable` if the directory cannot be read
 */
export async function readDepth(directory: string): Promise<SpoolDepth> {
  const { files } = await look(directory);
  const depth = { waiting: 0, answer: 0, refused: 0, unread: 0, saved: 0 };
  for (const { name } of files) depth[name.kind] += 1;
  return depth;
}

/**
 * Names the shards and the files with uncommitted answers that this process may not read.
 *
 * @throws {GrantryError} `storage_unavailable` if the directory cannot be read
 */
export async function unreadableParts(directory: string): Promise<readonly string[]> {
  const { folder, files } = await look(directory);
  const closed: string[] = [...folder.unreadable];
  for (const { path, name } of files) {
    if (name.kind === 'waiting' || name.kind === 'saved') continue;
    await access(folder.at(path), constants.R_OK).catch((error: unknown) => {
      if (!isMissing(error)) closed.push(folder.at(path));
    });
  }
  return closed;
}

async function look(directory: string): Promise<{ folder: SpoolFolder; files: SpoolFile[] }> {
  const folder = new SpoolFolder(directory, () => 0);
  const files = await folder.open();
  for (const shard of shards) files.push(...(await folder.shard(shard)));
  return { folder, files };
}
