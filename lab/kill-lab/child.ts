import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';

/** A process ended before it answered. */
export class ChildGoneError extends Error {
  override readonly name = 'ChildGoneError';
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A process of the lab that answers commands and may be killed at any moment. */
export class Child<Command> {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly ended: Promise<void>;
  #count = 0;
  #gone = false;

  private constructor(program: string) {
    this.#process = fork(program, [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [],
      // Process starts take most of a run.
      env: { ...process.env, NODE_COMPILE_CACHE: `${dirname(program)}/compiled` },
    });
    // A write to a killed process fails; its exit event is what counts.
    this.#process.on('error', () => {});
    this.#process.on('message', (message) => {
      // Only the lab's own programs write here, in this one form.
      const { id, value, error } = message as { id: number; value?: unknown; error?: string };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(error));
    });
    this.ended = this.#end();
  }

  async #end(): Promise<void> {
    await once(this.#process, 'exit');
    this.#gone = true;
    for (const waiting of this.#waiting.values()) waiting.reject(new ChildGoneError('the process is gone'));
    this.#waiting.clear();
  }

  /** Resolves when the program has been loaded. */
  static async start<Command>(program: string): Promise<Child<Command>> {
    const child = new Child<Command>(program);
    await new Promise<unknown>((resolve, reject) => child.#waiting.set(0, { resolve, reject }));
    return child;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Sends a command; each command names the type of its answer. */
  async ask<Answer>(command: Command): Promise<Answer> {
    if (this.#gone) throw new ChildGoneError('the process is gone');
    this.#count += 1;
    const id = this.#count;
    const answered = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#process.send({ id, command }, () => {});
    // Both sides come from one source tree; messages.ts defines the answer of each command.
    return (await answered) as Answer;
  }

  /** Kills the process as `kill -9` does; resolves when it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name);
  }
}
