/**
 * Stands in for `node:fs` where the vault uses it: the same few functions over the simulated disk. They are synchronous,
 * so nothing can come in between.
 */
import { diskError } from '../host/disk.ts';
import { fileOf } from './fs-promises.ts';
import { processOf } from './processes.ts';

export { constants } from 'node:fs';

export function readdirSync(path: string): string[] {
  const { process, path: directory } = processOf(path);
  return process.disk.list(directory);
}

export function existsSync(path: string): boolean {
  const { process, path: name } = processOf(path);
  return process.disk.get(name) !== undefined;
}

export function mkdirSync(): void {
  // Directories are there when they are needed.
}

export function readFileSync(path: string): string {
  const { process, path: name } = processOf(path);
  const file = process.disk.get(name);
  if (file === undefined) throw diskError('ENOENT');
  return file.data.toString('utf8');
}

export function writeFileSync(path: string, text: string): void {
  const { process, path: name } = processOf(path);
  const file = process.disk.get(name) ?? process.disk.create(name, process.now());
  file.data = Buffer.from(text);
  file.mtimeMs = process.now();
}

export function renameSync(from: string, to: string): void {
  const { process, path: name } = processOf(from);
  process.instant('rename', name);
  if (!process.disk.rename(name, processOf(to).path)) throw diskError('ENOENT');
}

export function rmSync(path: string): void {
  const { process, path: name } = processOf(path);
  process.disk.remove(name);
}

export function ftruncateSync(descriptor: number, length: number): void {
  fileOf(descriptor).truncateNow(length);
}

export function writeSync(
  descriptor: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  position: number,
): void {
  fileOf(descriptor).writeNow(bytes, offset, length, position);
}
