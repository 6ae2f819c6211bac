import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { GrantryError } from '../../base/errors.ts';
import { usageError } from './errors.ts';

/** True when a person is at the terminal. */
export function canPrompt(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asks for a line on the terminal; a secret is not echoed. */
export async function promptLine(question: string, options: { secret: boolean }): Promise<string> {
  const screen = options.secret ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
  // Before the question: from now on the terminal echoes nothing by itself, however fast a person types.
  const lines = createInterface({ input: process.stdin, output: screen, terminal: true });
  if (options.secret) process.stderr.write(question);
  const stop = new AbortController();
  // The terminal gives Ctrl-C to the prompt as a character, not as a signal: it ends the command like one.
  lines.on('SIGINT', () => {
    lines.close();
    process.emit('SIGINT', 'SIGINT');
  });
  lines.on('close', () => stop.abort());
  try {
    return (await lines.question(options.secret ? '' : question, { signal: stop.signal })).trim();
  } catch (cause) {
    throw new GrantryError('invalid_request', 'The prompt was cancelled; nothing has changed.', { cause });
  } finally {
    lines.close();
    if (options.secret) process.stderr.write('\n');
  }
}

/** Reads standard input to its end, as text. @throws {GrantryError} `payload_too_large`, `invalid_request` */
export async function readStdin(what: string, bytesMax: number): Promise<string> {
  return decodeText(await readStdinBytes(what, bytesMax), `The ${what} on standard input`);
}

/** Reads the first line of standard input, since its writer may keep the pipe open. @throws as {@link readStdin} */
export async function readStdinLine(what: string, bytesMax: number): Promise<string> {
  const text = decodeText(await readStdinBytes(what, bytesMax, '\n'), `The ${what} on standard input`);
  return text.split('\n')[0] ?? '';
}

/** Reads standard input to its end, or until it contains `stopAt`. @throws {GrantryError} `payload_too_large` beyond the limit */
export async function readStdinBytes(what: string, bytesMax: number, stopAt?: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > bytesMax) {
      throw new GrantryError('payload_too_large', `The ${what} on standard input is larger than ${bytesMax} bytes.`);
    }
    chunks.push(part);
    if (stopAt !== undefined && part.includes(stopAt)) break;
  }
  return Buffer.concat(chunks);
}

/** Decodes UTF-8 text, without a byte order mark. @throws {GrantryError} `invalid_request` */
export function decodeText(bytes: Uint8Array, subject: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Reported below.
  }
  throw usageError(`${subject} is not text.`, 'Pass a plain text file in UTF-8.');
}
