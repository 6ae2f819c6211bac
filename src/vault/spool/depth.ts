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
  const { files } = await lookInto(directory);
  const depth = { waiting: 0, answer: 0, refused: 0, unread: 0, saved: 0 };
  for (const { name } of files) depth[name.kind] += 1;
  return depth;
}

/** Lists all files in a spool; the folder names the shards that could not be read. */
export async function lookInto(directory: string): Promise<{ folder: SpoolFolder; files: SpoolFile[] }> {
  const folder = new SpoolFolder(directory, () => 0);
  const files = await folder.open();
  for (const shard of shards) files.push(...(await folder.shard(shard)));
  return { folder, files };
}
