/** Runs the real command line as a child process, in a home of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shared } from '../support/broker.ts';

export interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with all of stderr so far, each time more comes: where a test plays the browser. */
  readonly onStderr?: (text: string) => void;
  /** Gives the test a way to type; standard input stays open. */
  readonly onInput?: (write: (text: string) => void) => void;
  /** Reads nothing of what is printed. */
  readonly closeStdout?: boolean;
  readonly onStarted?: (kill: (signal: NodeJS.Signals) => void, pid: number) => void;
}

/** A directory that is a home, and what to do in it. */
export class Home implements AsyncDisposable {
  readonly path: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<Home> {
    return new Home(await mkdtemp(join(tmpdir(), 'grantry-cli-')));
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    const main = await shared('command line');
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [main, ...args], {
        cwd: options.cwd ?? this.path,
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: this.path,
          GRANTRY_HOME: join(this.path, 'home'),
          ...options.env,
        },
        stdio: 'pipe',
      });
      this.#running.add(child);
      child.once('close', () => this.#running.delete(child));
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
        options.onStderr?.(stderr);
      });
      child.once('error', reject);
      // A busy machine makes anything take over a second, and then progress is told: that is for people.
      child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr: stderr.replace(/^.* …\n/gm, '') }));
      // The program may end without having read what is offered to it.
      child.stdin.on('error', () => {});
      if (options.onInput === undefined) child.stdin.end(options.stdin ?? '');
      else options.onInput((text) => child.stdin.write(text));
      if (options.closeStdout === true) child.stdout.destroy();
      options.onStarted?.((signal) => child.kill(signal), child.pid ?? 0);
    });
  }

  /** Ends what a failed test left running, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    }
    await rm(this.path, { recursive: true, force: true });
  }
}
