import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A server's own report after its end. */
export interface Ended {
  readonly code: number | null;
  readonly stopMs: number;
  /** Number of requests whose head it had read, and of those whose answer was not sent completely. */
  readonly requests: number;
  readonly unanswered: number;
  /** Lines of its log above `info`. */
  readonly complaints: readonly string[];
}

interface LogLine {
  readonly level?: string;
  readonly message?: string;
  readonly requests?: number;
  readonly unanswered?: number;
}

/** A place in which `grantry serve` processes run one after the other, on one port. */
export class ServerPlace {
  readonly port: number;
  readonly #program: string;
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #isUp = false;
  #log: LogLine[] = [];

  constructor(program: string, port: number, environment: Readonly<Record<string, string>>) {
    this.#program = program;
    this.port = port;
    this.#environment = environment;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Resolves when the server accepts requests. */
  async start(): Promise<void> {
    this.#log = [];
    const child = spawn(process.execPath, [this.#program, 'serve', '--json', '--port', String(this.port)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', ...this.#environment },
    });
    this.#child = child;
    createInterface({ input: child.stderr }).on('line', (line) => this.#log.push(lineOf(line)));
    const said = createInterface({ input: child.stdout });
    const up = once(said, 'line');
    const gone = once(child, 'close').then(() => {
      throw new Error(`a server did not start: ${JSON.stringify(this.#log.slice(-3))}`);
    });
    await Promise.race([up, gone]);
    // The caller that ends the server waits for its exit.
    gone.catch(() => {});
    this.#isUp = true;
  }

  /** Sends SIGTERM and returns the outcome. */
  async stop(): Promise<Ended> {
    const child = this.#child;
    if (child === undefined) throw new Error('no server runs here');
    this.#isUp = false;
    const startedAt = performance.now();
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    await closed;
    this.#child = undefined;
    const last = this.#log.findLast(({ message }) => message === 'stopped');
    return {
      code: child.exitCode,
      stopMs: performance.now() - startedAt,
      requests: last?.requests ?? 0,
      unanswered: last?.unanswered ?? 0,
      complaints: this.#log.filter(isComplaint).map((line) => JSON.stringify(line)),
    };
  }

  /** Kills the server after an error. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }
}

function lineOf(line: string): LogLine {
  try {
    // Grantry itself writes these lines.
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: 'error', message: line };
  }
}

/** The lab makes a vault, and its providers are on loopback: both are announced as warnings. */
const expected = /^(?:made a new vault\b|providers may be on http:)/i;

function isComplaint({ level, message = '' }: LogLine): boolean {
  return level !== 'info' && !expected.test(message);
}
