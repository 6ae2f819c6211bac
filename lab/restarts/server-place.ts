import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What a server said of itself when it had ended. */
export interface Ended {
  readonly code: number | null;
  readonly stopMs: number;
  /** Requests whose head it had read, and those of them whose answer did not leave whole. */
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

/** A place in which one `grantry serve` after the other runs, on one port. */
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

  /** Resolves when it takes requests. */
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
    // From here on the caller that ends it waits for its end.
    gone.catch(() => {});
    this.#isUp = true;
  }

  /** SIGTERM, and what became of it. */
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
      complaints: this.#log.filter(({ level }) => level !== 'info').map((line) => JSON.stringify(line)),
    };
  }

  /** For the way out after an error. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }
}

function lineOf(line: string): LogLine {
  try {
    // Our own program writes these.
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: 'error', message: line };
  }
}
