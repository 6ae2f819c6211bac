import { createSecretKey, type KeyObject } from 'node:crypto';
import { close, closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { secretFileFault } from '../base/secret-file.ts';
import { systemCodeOf } from '../base/system-error.ts';
import { describeRootKeySource, type RootKeySource } from './root-key-source.ts';
import { decodeKeyText, weaknessOf } from './root-key-text.ts';

export { parseRootKeySource, type RootKeySource } from './root-key-source.ts';

const lineEnd = 0x0a;
const windows = process.platform === 'win32';
const readDescriptor = promisify(read);
const closeDescriptor = promisify(close);

/** Keys from sources that can be read only once; see {@link loadRootKey}. */
const remembered = new Map<string, Promise<KeyObject>>();

/**
 * Reads the root key: 32 bytes in base64 or base64url.
 *
 * Files and commands are read each time. A variable (`env:`) and a descriptor (`fd:`) are read once, and the process
 * remembers their key, so a second vault can use the same source. A variable is deleted from `process.env` once its key
 * is accepted: child processes and diagnostic reports do not get it. It is read again when it is set again. A
 * descriptor is read up to the first line end or its end, then closed.
 *
 * @throws {GrantryError} `vault_sealed`, naming the source, when the key is missing or weak, or the file is another
 * user's or readable by one. Also when the command fails or takes longer than 30 seconds.
 */
export async function loadRootKey(source: RootKeySource): Promise<KeyObject> {
  if (source.kind === 'env') return readVariable(source);
  if (source.kind === 'fd') return once(source, () => readFd(source));
  return accept(await (source.kind === 'file' ? readFileSource(source) : runCommand(source)), source);
}

/** Remembers failures too: the number of a closed descriptor may already belong to another file. */
function once(source: RootKeySource, readText: () => Promise<Buffer>): Promise<KeyObject> {
  const name = describeRootKeySource(source);
  const known = remembered.get(name);
  if (known !== undefined) return known;
  const loading = readText().then((text) => accept(text, source));
  remembered.set(name, loading);
  return loading;
}

function readVariable(source: RootKeySource & { kind: 'env' }): Promise<KeyObject> {
  const text = process.env[source.name];
  if (text === undefined || text === '') {
    const known = remembered.get(describeRootKeySource(source));
    if (known !== undefined) return known;
    throw sealed(source, 'is not set');
  }
  const key = accept(Buffer.from(text), source);
  delete process.env[source.name];
  const loaded = Promise.resolve(key);
  remembered.set(describeRootKeySource(source), loaded);
  return loaded;
}

async function readFd(source: RootKeySource & { kind: 'fd' }): Promise<Buffer> {
  try {
    const text = await readUpToLimit((into, offset) =>
      readDescriptor(source.fd, into, offset, into.length - offset, null),
    );
    await closeDescriptor(source.fd);
    return text;
  } catch (error) {
    throw sealed(source, `cannot be read (${reasonOf(error)})`, error);
  }
}

async function readFileSource(source: RootKeySource & { kind: 'file' }): Promise<Buffer> {
  let file: number | undefined;
  try {
    // Synchronous: this small file takes microseconds, while the first asynchronous read of a process starts a pool of
    // threads. Without O_NONBLOCK a named pipe without a writer would hang the start.
    file = openSync(source.path, constants.O_RDONLY | (windows ? 0 : constants.O_NONBLOCK));
    const opened = file;
    const stats = fstatSync(opened);
    if (!stats.isFile()) throw sealed(source, 'is not a regular file');
    const fault = secretFileFault(source.path, stats);
    if (fault !== undefined) throw sealed(source, fault.what, undefined, fault.action);
    return await readUpToLimit(async (into, offset) => ({
      bytesRead: readSync(opened, into, offset, into.length - offset, null),
    }));
  } catch (error) {
    if (error instanceof GrantryError) throw error;
    const reason = reasonOf(error);
    throw sealed(source, reason === 'ENOENT' ? 'does not exist' : `cannot be read (${reason})`, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Reads to the first line end, to the end, or one byte beyond the limit. */
async function readUpToLimit(
  readInto: (into: Buffer, offset: number) => Promise<{ bytesRead: number }>,
): Promise<Buffer> {
  const text = Buffer.alloc(limits.rootKeyTextBytesMax + 1);
  let length = 0;
  while (length < text.length) {
    const { bytesRead } = await readInto(text, length);
    length += bytesRead;
    if (bytesRead === 0 || text.subarray(0, length).includes(lineEnd)) break;
  }
  return text.subarray(0, length);
}

async function runCommand(source: RootKeySource & { kind: 'command' }): Promise<Buffer> {
  // Imported here so that only this source pays for it at a start.
  const { execFile } = await import('node:child_process');
  return new Promise((resolve, reject) => {
    const child = execFile(
      source.program,
      source.args,
      {
        encoding: 'buffer',
        timeout: limits.rootKeyCommandMs,
        maxBuffer: limits.rootKeyTextBytesMax,
        killSignal: 'SIGKILL',
        windowsHide: true,
      },
      (error, stdout, stderr) => {
        stderr.fill(0);
        if (error === null) {
          resolve(stdout);
          return;
        }
        stdout.fill(0);
        // The error's message repeats the arguments and the program's output, so it is dropped.
        reject(sealed(source, failureOf(error)));
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end();
  });
}

function failureOf(error: { code?: unknown; killed?: boolean | undefined }): string {
  if (error.code === 'ENOENT') return 'was not found';
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'printed more than a key';
  if (error.killed === true) return `gave no key within ${limits.rootKeyCommandMs / 1_000} seconds`;
  return typeof error.code === 'number' ? `failed with exit code ${error.code}` : `failed (${reasonOf(error)})`;
}

/** Decodes and checks a key's text, and overwrites it. */
function accept(text: Buffer, source: RootKeySource): KeyObject {
  const key = text.length > limits.rootKeyTextBytesMax ? undefined : decodeKeyText(text);
  const isEmpty = text.length === 0;
  text.fill(0);
  if (isEmpty) throw sealed(source, 'is empty');
  if (key === undefined) throw sealed(source, 'does not hold 32 bytes in base64');
  try {
    const weakness = weaknessOf(key);
    if (weakness !== undefined) {
      throw sealed(source, `holds a key that ${weakness}`, undefined, 'Use 32 random bytes: openssl rand -base64 32');
    }
    return createSecretKey(key);
  } finally {
    key.fill(0);
  }
}

function sealed(source: RootKeySource, what: string, cause?: unknown, action?: string): GrantryError {
  const name = describeRootKeySource(source);
  return new GrantryError('vault_sealed', `There is no usable root key: ${name} ${what}.`, { cause, action });
}

function reasonOf(error: unknown): string {
  return systemCodeOf(error) ?? 'unknown error';
}
