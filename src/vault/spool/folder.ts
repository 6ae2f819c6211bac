import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { isMissing } from './files.ts';
import { nameFor, parseName, type SpoolKind, type SpoolName, shardOf } from './names.ts';

/** A file of the spool, by its path relative to the spool's directory. */
export interface SpoolFile {
  readonly path: string;
  readonly name: SpoolName;
}

/** The spool's directory on the disk. Open work lies in the directory itself, committed answers in its shards. */
export class SpoolFolder {
  readonly directory: string;
  readonly now: () => number;
  #isMade = false;
  /** Shards and files that the system does not let this process read, by shard or by grant id. */
  readonly #unreadable = new Map<string, string>();
  #told: ReadonlySet<string> = new Set();

  constructor(directory: string, now: () => number) {
    this.directory = directory;
    this.now = now;
  }

  at(path: string): string {
    return join(this.directory, path);
  }

  /** Makes the directory. `again` makes it also if it was removed since. */
  async make({ again = false } = {}): Promise<void> {
    if (this.#isMade && !again) return;
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
    this.#isMade = true;
  }

  /**
   * Lists the files that are not in a shard.
   *
   * @throws {GrantryError} `storage_unavailable` if the directory cannot be read
   */
  async open(): Promise<SpoolFile[]> {
    try {
      return parsed('', await readdir(this.directory));
    } catch (error) {
      if (isMissing(error)) return [];
      throw new GrantryError('storage_unavailable', `The spool directory ${this.directory} cannot be read.`, {
        action: 'Make the directory readable for the user that runs Grantry.',
        cause: error,
      });
    }
  }

  /** Lists the files in a shard. A shard that cannot be read is noted, and hides no other one. */
  async shard(shard: string): Promise<SpoolFile[]> {
    this.#unreadable.delete(shard);
    try {
      return parsed(shard, await readdir(this.at(shard)));
    } catch (error) {
      if (!isMissing(error)) this.#unreadable.set(shard, this.at(shard));
      return [];
    }
  }

  /** Notes that the file of a grant is there and cannot be read; without a path, that all of them can. */
  noteUnreadable(grantId: string, path?: string): void {
    if (path === undefined) this.#unreadable.delete(grantId);
    else this.#unreadable.set(grantId, this.at(path));
  }

  /** Returns a path that may hold an answer of this grant and could not be read when it was last tried. */
  unreadableOf(grantId: string): string | undefined {
    return this.#unreadable.get(grantId) ?? this.#unreadable.get(shardOf(grantId));
  }

  get unreadable(): readonly string[] {
    return [...this.#unreadable.values()];
  }

  /** Returns the unreadable paths that were not returned before, so that each is reported once. */
  newlyUnreadable(): readonly string[] {
    const paths = this.unreadable;
    const untold = paths.filter((path) => !this.#told.has(path));
    this.#told = new Set(paths);
    return untold;
  }

  /** Forgets what could not be read, before everything is read again. */
  forgetUnreadable(): void {
    this.#unreadable.clear();
  }

  /** Gives a file another kind. */
  async move({ path, name }: SpoolFile, kind: SpoolKind): Promise<void> {
    const from = this.at(path);
    const target = nameFor(name.stem, kind, this.now());
    if (kind !== 'saved') {
      await rename(from, this.at(target));
      if (kind === 'unread') await this.#dropExcess(name.grantId);
      return;
    }
    const to = this.at(join(shardOf(name.grantId), target));
    try {
      await rename(from, to);
      return;
    } catch (error) {
      if (isMissing(error) && (await isThere(dirname(to)))) throw error;
    }
    try {
      await mkdir(dirname(to), { recursive: true, mode: 0o700 });
      await rename(from, to);
    } catch (error) {
      if (isMissing(error)) throw error;
      // Another user owns the shard. The file is swept from here as well.
      await rename(from, this.at(target));
    }
  }

  /** Bounds what a provider that sends nonsense can fill: a grant's first and last answers say most. */
  async #dropExcess(grantId: string): Promise<void> {
    const files = (await this.open()).filter(({ name }) => name.kind === 'unread' && name.grantId === grantId);
    files.sort((one, other) => (one.name.minute ?? 0) - (other.name.minute ?? 0));
    const half = limits.unreadAnswersMax / 2;
    for (const { path } of files.slice(half, -half)) await this.remove(path);
  }

  async remove(path: string): Promise<void> {
    await rm(this.at(path), { force: true });
  }
}

function parsed(shard: string, names: readonly string[]): SpoolFile[] {
  const files: SpoolFile[] = [];
  for (const each of names) {
    const name = parseName(each);
    if (name !== undefined) files.push({ path: join(shard, each), name });
  }
  return files;
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
