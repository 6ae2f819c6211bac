/** Stands in for `node:fs/promises` where the vault uses it: the same few functions over the simulated disk. */
import { constants } from 'node:fs';
import { type DiskFile, diskError } from '../host/disk.ts';
import { type PortProcess, processOf, type StepKind } from './processes.ts';

/** Calls that only read: a failure of one puts no answer at risk. */
const looks = new Set(['readdir', 'readFile', 'stat']);

async function on<T>(
  path: string,
  what: string,
  act: (process: PortProcess, path: string) => T,
  kind: StepKind = 'disk',
): Promise<T> {
  const found = processOf(path);
  const said = `${what} ${found.path.slice(found.path.lastIndexOf('.') + 1)}`;
  await found.process.step(kind, said, looks.has(what) ? undefined : found.path);
  const result = act(found.process, found.path);
  await found.process.done(kind, said);
  return result;
}

export async function mkdir(path: string): Promise<void> {
  await on(path, 'mkdir', () => {});
}

export async function chmod(path: string): Promise<void> {
  await on(path, 'chmod', () => {});
}

export function readdir(path: string): Promise<string[]> {
  return on(path, 'readdir', (process, directory) => process.disk.list(directory));
}

export function readFile(path: string): Promise<string> {
  return on(path, 'readFile', (process, name) => present(process.disk.get(name)).data.toString('utf8'));
}

export function stat(path: string): Promise<{ size: number; mtimeMs: number }> {
  return on(path, 'stat', (process, name) => {
    const { data, mtimeMs } = present(process.disk.get(name));
    return { size: data.length, mtimeMs };
  });
}

export async function rename(from: string, to: string): Promise<void> {
  const target = processOf(to).path;
  await on(from, 'rename', (process, name) => {
    if (!process.disk.rename(name, target)) throw diskError('ENOENT');
  });
}

export async function rm(path: string, options?: { force?: boolean }): Promise<void> {
  await on(path, 'rm', (process, name) => {
    if (!process.disk.remove(name) && options?.force !== true) throw diskError('ENOENT');
  });
}

export function open(path: string, flags: number): Promise<SimulatedFile> {
  return on(path, 'open', (process, name) => {
    const known = process.disk.get(name);
    if ((flags & constants.O_CREAT) === 0) {
      if (known !== undefined) return new SimulatedFile(process, name, known);
      return new SimulatedFile(process, name, null);
    }
    if (known !== undefined && (flags & constants.O_EXCL) !== 0) throw diskError('EEXIST');
    const file = known ?? process.disk.create(name, process.now());
    if ((flags & constants.O_TRUNC) !== 0) file.data = Buffer.alloc(0);
    return new SimulatedFile(process, name, file);
  });
}

let descriptors = 0;
const byDescriptor = new Map<number, SimulatedFile>();

/** The open file of a descriptor, for the synchronous functions. */
export function fileOf(descriptor: number): SimulatedFile {
  const file = byDescriptor.get(descriptor);
  if (file === undefined) throw diskError('EIO');
  return file;
}

/** An open file, or, without one, an open directory. */
export class SimulatedFile {
  readonly fd: number;
  readonly #process: PortProcess;
  readonly #path: string;
  readonly #file: DiskFile | null;
  #position = 0;

  constructor(process: PortProcess, path: string, file: DiskFile | null) {
    this.#process = process;
    this.#path = path;
    this.#file = file;
    descriptors += 1;
    this.fd = descriptors;
    byDescriptor.set(this.fd, this);
  }

  async write(bytes: Uint8Array, offset = 0, length = bytes.length - offset, position?: number): Promise<void> {
    await this.#step('disk', 'write', () => this.#write(bytes, offset, length, position));
  }

  writeNow(bytes: Uint8Array, offset: number, length: number, position: number): void {
    this.#process.instant('write', this.#path);
    this.#write(bytes, offset, length, position);
  }

  #write(bytes: Uint8Array, offset: number, length: number, position: number | undefined): void {
    const at = position ?? this.#position;
    const file = present(this.#file);
    const end = at + length;
    const data = Buffer.alloc(Math.max(file.data.length, end));
    file.data.copy(data);
    data.set(bytes.subarray(offset, offset + length), at);
    file.data = data;
    file.mtimeMs = this.#process.now();
    this.#position = end;
  }

  async writeFile(text: string): Promise<void> {
    await this.write(Buffer.from(text), 0, undefined, 0);
  }

  truncateNow(length: number): void {
    this.#process.instant('truncate', this.#path);
    const file = present(this.#file);
    const data = Buffer.alloc(length);
    file.data.copy(data, 0, 0, length);
    file.data = data;
    file.mtimeMs = this.#process.now();
  }

  async datasync(): Promise<void> {
    await this.#step('flush', 'datasync', () => {
      const file = present(this.#file);
      file.synced = Buffer.from(file.data);
    });
  }

  async sync(): Promise<void> {
    await this.#step('flush', 'sync', () => {
      if (this.#file === null) this.#process.disk.flushDirectory(this.#path);
      else this.#file.synced = Buffer.from(this.#file.data);
    });
  }

  async close(): Promise<void> {
    byDescriptor.delete(this.fd);
    await this.#step('disk', 'close', () => {});
  }

  async #step(kind: StepKind, what: string, act: () => void): Promise<void> {
    await this.#process.step(kind, what, this.#path);
    act();
    await this.#process.done(kind, what);
  }
}

function present(file: DiskFile | undefined | null): DiskFile {
  if (file === undefined || file === null) throw diskError('ENOENT');
  return file;
}
