/** Spool directory of every simulated process, on a simulated disk. */
export const spoolDirectory = ['', 'home', 'spool'].join('/');

/** A local disk in memory: what a crash of a process leaves, and what is left when the power fails. */
export class Disk {
  /** Path → file, as running processes see it. */
  #names = new Map<string, DiskFile>();
  /** The same after the power failed: names that were flushed with their directory. */
  #flushed = new Map<string, DiskFile>();

  get(path: string): DiskFile | undefined {
    return this.#names.get(path);
  }

  create(path: string, now: number): DiskFile {
    const file: DiskFile = { data: Buffer.alloc(0), synced: Buffer.alloc(0), mtimeMs: now };
    this.#names.set(path, file);
    return file;
  }

  rename(from: string, to: string): boolean {
    const file = this.#names.get(from);
    if (file === undefined) return false;
    this.#names.delete(from);
    this.#names.set(to, file);
    return true;
  }

  remove(path: string): boolean {
    return this.#names.delete(path);
  }

  /** The names in a directory, in their order of creation. A folder in it is named once. */
  list(directory: string): string[] {
    return [...new Set(this.below(directory).map((path) => path.split('/', 1)[0] ?? ''))];
  }

  /** The paths of all files below a directory, relative to it. */
  below(directory: string): string[] {
    const prefix = `${directory}/`;
    return [...this.#names.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  }

  flushDirectory(directory: string): void {
    const prefix = `${directory}/`;
    for (const path of this.#flushed.keys()) if (path.startsWith(prefix)) this.#flushed.delete(path);
    for (const [path, file] of this.#names) if (path.startsWith(prefix)) this.#flushed.set(path, file);
  }

  /** Everything that was not flushed is gone. */
  powerFails(): void {
    this.#names = new Map(this.#flushed);
    for (const file of this.#names.values()) file.data = Buffer.from(file.synced);
  }
}

export interface DiskFile {
  data: Buffer;
  synced: Buffer;
  mtimeMs: number;
}

/** An error as `node:fs` makes it. */
export function diskError(code: 'ENOENT' | 'EEXIST' | 'ENOSPC' | 'EIO'): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}
