import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { GrantKey } from '../../src/base/ids.ts';
import type { Bench } from '../support/bench.ts';

/** A real process with a vault of its own over a bench's database. */
export class VaultProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    if (child.stdout === null) throw new Error('the process has no output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
  }

  /** Starts a process and waits until its vault is open. */
  static async start(
    bench: Bench,
    key: GrantKey,
    options: { stopAt?: string; timeScale?: number } = {},
  ): Promise<VaultProcess> {
    const { database, home, providers } = bench;
    const job = JSON.stringify({ database, home, providers, key, ...options });
    const child = spawn(process.execPath, [join(import.meta.dirname, 'vault-process.ts'), job], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const started = new VaultProcess(child);
    await started.says('ready');
    return started;
  }

  /** Asks for that many tokens at once: generations and error codes. */
  async call(count: number): Promise<string[]> {
    this.ask(count);
    const results = await this.says('results');
    return Array.isArray(results) ? results.map(String) : [];
  }

  ask(count: number): void {
    this.#child.stdin?.write(`${JSON.stringify({ call: count })}\n`);
  }

  /** Waits for the next message with this member and gives its value. */
  async says(member: string): Promise<unknown> {
    for (;;) {
      const line = this.#lines.shift();
      if (line === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const message: unknown = JSON.parse(line);
      if (typeof message === 'object' && message !== null && member in message) return Reflect.get(message, member);
    }
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#exited;
  }
}
