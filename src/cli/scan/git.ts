import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { GrantryError } from '../../base/errors.ts';
import { systemCodeOf } from '../../base/system-error.ts';

/** Git in one directory. */
export class Git {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Runs git and returns what it prints. @throws {GrantryError} where git fails */
  async text(...args: string[]): Promise<string> {
    let text = '';
    for await (const part of this.stream(args)) text += new TextDecoder().decode(part);
    return text.replace(/\r?\n$/, '');
  }

  /** Runs git and passes what it prints, part by part. @throws {GrantryError} where git fails */
  async *stream(args: readonly string[]): AsyncGenerator<Uint8Array> {
    const child = spawn('git', args, { cwd: this.#directory, stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = ending(child);
    try {
      yield* bytesOf(child.stdout);
      refuse(args, await ended);
    } finally {
      child.kill();
      await ended;
    }
  }

  /** Runs git and passes its records one by one, as `-z` or line ends part them. */
  async *records(args: readonly string[], end: string): AsyncGenerator<string> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const part of this.stream(args)) {
      const whole = (rest + decoder.decode(part, { stream: true })).split(end);
      rest = whole.pop() ?? '';
      yield* whole;
    }
    if (rest !== '') yield rest;
  }

  /** Starts a reader of objects; the caller closes it with `await using`. */
  objects(): ObjectReader {
    const args = ['cat-file', '--batch'];
    return new ObjectReader(spawn('git', args, { cwd: this.#directory, stdio: ['pipe', 'pipe', 'ignore'] }));
  }
}

/** Reads objects of a repository one after the other, each in parts. */
export class ObjectReader implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<Ending>;
  readonly #parts: AsyncGenerator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    this.#ended = ending(child);
    // It tells of its end by the end of its output.
    child.stdin.on('error', () => {});
    this.#parts = bytesOf(child.stdout);
  }

  /** Passes the content of a blob; nothing of an object of another kind. */
  async *blob(id: string): AsyncGenerator<Uint8Array> {
    this.#child.stdin.write(`${id}\n`);
    const [, kind, size] = (await this.#line()).split(' ');
    if (size === undefined) {
      throw new GrantryError('invalid_request', `The object ${id} is missing from this clone, so it was not scanned.`, {
        action: 'Scan a whole clone, and check it with: git fsck.',
      });
    }
    let left = Number(size) + 1;
    try {
      while (left > 0) {
        const part = await this.#part(left);
        left -= part.length;
        // The line end after the content is none of it.
        if (kind === 'blob') yield left === 0 ? part.subarray(0, -1) : part;
      }
    } finally {
      while (left > 0) left -= (await this.#part(left)).length;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    this.#child.kill();
    await this.#ended;
  }

  async #line(): Promise<string> {
    let line = '';
    for (;;) {
      const part = this.#rest.length > 0 ? this.#rest : await this.#next();
      const end = part.indexOf(0x0a);
      line += new TextDecoder().decode(end === -1 ? part : part.subarray(0, end));
      this.#rest = end === -1 ? new Uint8Array() : part.subarray(end + 1);
      if (end !== -1) return line;
    }
  }

  async #part(bytesMax: number): Promise<Uint8Array> {
    const part = this.#rest.length > 0 ? this.#rest : await this.#next();
    this.#rest = part.subarray(bytesMax);
    return part.subarray(0, bytesMax);
  }

  async #next(): Promise<Uint8Array> {
    const { value, done } = await this.#parts.next();
    if (done !== true) return value;
    refuse(['cat-file'], await this.#ended);
    throw gitFailed('cat-file');
  }
}

interface Ending {
  readonly code: number | null;
  readonly error: unknown;
}

/** Waits for the end of a process, and never rejects: its output ends at the same time. */
async function ending(child: ChildProcessByStdio<Writable | null, Readable, null>): Promise<Ending> {
  try {
    await once(child, 'close');
    return { code: child.exitCode, error: null };
  } catch (error) {
    return { code: null, error };
  }
}

async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const part of stream) if (part instanceof Uint8Array) yield part;
}

function refuse(args: readonly string[], { code, error }: Ending): void {
  if (systemCodeOf(error) === 'ENOENT') {
    throw new GrantryError('not_found', 'The program git is not found.', { action: 'Install git.', cause: error });
  }
  if (code !== 0) throw gitFailed(args[0] ?? '');
}

function gitFailed(command: string): GrantryError {
  return new GrantryError('invalid_request', `The command git ${command} failed: this may not be a git repository.`, {
    action: 'Run the command in a working copy of git, and check it with: git status.',
  });
}
