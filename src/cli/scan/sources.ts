import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { usageError } from '../terminal/errors.ts';
import type { Git, ObjectReader } from './git.ts';

/** Something to scan: a file of the working copy, or one that git keeps. */
export interface Source {
  /** Relative to the root of the scan, with slashes. */
  readonly file: string;
  /** The id of git's object. */
  readonly blob?: string;
  read(): AsyncIterable<Uint8Array>;
}

const chunkBytes = 262_144;
/** Directories that hold no file of the project. */
const passedOver = new Set(['.git', 'node_modules']);
const submoduleMode = '160000';
const noObject = /^0+$/;

/** The files that git tracks or would track, below the paths. A named file counts in any case. */
export async function* trackedFiles(git: Git, root: string, paths: readonly string[]): AsyncGenerator<Source> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--full-name', '--', ...paths];
  const seen = new Set<string>();
  for await (const file of git.records(args, '\0')) seen.add(file);
  for (const path of paths) if (await isFile(path)) seen.add(slashed(relative(root, resolve(path))));
  yield* filesOnDisk(root, seen);
}

/** The files below the paths, where there is no git. */
export async function* plainFiles(root: string, paths: readonly string[]): AsyncGenerator<Source> {
  for (const path of paths) {
    if (await isFile(path)) yield* filesOnDisk(root, [slashed(relative(root, resolve(path)))]);
    else yield* filesBelow(root, resolve(path));
  }
}

/** The contents that the next commit would change, as the index has them. */
export async function* stagedFiles(git: Git, objects: ObjectReader, paths: readonly string[]): AsyncGenerator<Source> {
  const args = [
    'diff',
    '--cached',
    '--raw',
    '-z',
    '--no-color',
    '--no-relative',
    '--no-abbrev',
    '--no-renames',
    '--diff-filter=d',
    '--',
    ...paths,
  ];
  let blob = '';
  for await (const record of git.records(args, '\0')) {
    // In turn: `:OLD-MODE NEW-MODE OLD-ID NEW-ID STATUS`, and the file.
    if (record.startsWith(':') && blob === '') {
      const [, mode = '', , id = ''] = record.split(' ');
      blob = mode === submoduleMode ? noBlob : id;
    } else {
      if (blob !== noBlob && !noObject.test(blob)) yield blobSource(objects, blob, record);
      blob = '';
    }
  }
}

/** Every content that a branch, a tag or a stash reaches, each once. */
export async function* historyFiles(git: Git, objects: ObjectReader, paths: readonly string[]): AsyncGenerator<Source> {
  const args = ['rev-list', '--objects', '--filter=object:type=blob', '--all', '--', ...paths];
  for await (const line of git.records(args, '\n')) {
    const space = line.indexOf(' ');
    // The newest commits are listed too, without a name.
    if (space > 0 && space < line.length - 1) yield blobSource(objects, line.slice(0, space), line.slice(space + 1));
  }
}

const noBlob = '-';

function blobSource(objects: ObjectReader, blob: string, file: string): Source {
  return { file, blob, read: () => objects.blob(blob) };
}

async function* filesOnDisk(root: string, files: Iterable<string>): AsyncGenerator<Source> {
  for (const file of files) {
    const path = join(root, file);
    // A link names a file that is scanned in its own place; a deleted file is still in the index.
    if (!(await isFile(path))) continue;
    yield { file, read: () => createReadStream(path, { highWaterMark: chunkBytes }) };
  }
}

async function* filesBelow(root: string, directory: string): AsyncGenerator<Source> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && !passedOver.has(entry.name)) yield* filesBelow(root, path);
    else if (entry.isFile()) yield* filesOnDisk(root, [slashed(relative(root, path))]);
  }
}

/** Refuses paths that do not exist, before a scan finds nothing in them. @throws {GrantryError} `invalid_request` */
export async function refuseMissing(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const found = await lstat(path).catch(() => null);
    if (found === null) throw usageError(`${path} does not exist.`, 'Check the path.');
  }
}

async function isFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (state) => state.isFile(),
    () => false,
  );
}

function slashed(path: string): string {
  return path.replaceAll('\\', '/');
}
