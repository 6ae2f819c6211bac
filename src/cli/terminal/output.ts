import { writeSync } from 'node:fs';
import { systemCodeOf } from '../../base/system-error.ts';

/** The output of a command: results on stdout, all else on stderr. */
export interface Output {
  readonly json: boolean;
  /** A line of the result. */
  print(line: string): void;
  /** The result as one JSON document: indented on a terminal, else one line. */
  printJson(value: unknown): void;
  /** A remark for the person at the terminal. */
  note(line: string): void;
}

/** The real output of this process. */
export function processOutput(json: boolean): Output {
  return {
    json,
    print: (line) => void process.stdout.write(`${clean(line)}\n`),
    printJson: (value) => {
      process.stdout.write(`${jsonText(value, process.stdout.isTTY ? 2 : 0)}\n`);
    },
    note: (line) => void process.stderr.write(`${clean(line)}\n`),
  };
}

/** Replaces control characters, so that text from outside cannot control the terminal. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

/** Formats JSON for a terminal too: characters that control one are escaped, which readers of JSON undo. */
export function jsonText(value: unknown, indent = 0): string {
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, indent).replace(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, escaped);
}

/**
 * Writes a short result as it is, before anything else is written to stdout. It does without the stream, which takes a tenth
 * of the time of an empty program to make.
 */
export function writeAlone(text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(1, bytes, written);
  } catch (error) {
    // A full pipe that does not block, or a closed one: the stream knows what to do.
    if (!['EAGAIN', 'EPIPE'].includes(systemCodeOf(error) ?? '')) throw error;
    process.stdout.write(bytes.subarray(written));
  }
}

const streamNames = ['stdout', 'stderr'] as const;

/** The streams that this program has used. */
const used = new Set<NodeJS.WriteStream>();

/** Resolves when all output has left this process. */
export async function flush(): Promise<void> {
  await Promise.all([...used].map((stream) => new Promise<void>((done) => stream.write('', () => done()))));
}

/** Ignores a closed reader (`| head -1`): the output ends, the work goes on. A stream is made when it is first used. */
export function ignoreClosedPipes(): void {
  for (const name of streamNames) {
    const original = Object.getOwnPropertyDescriptor(process, name) ?? {};
    const first = (): NodeJS.WriteStream => {
      Object.defineProperty(process, name, original);
      const stream = process[name];
      used.add(stream);
      return stream.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') throw error;
      });
    };
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: first });
  }
}
