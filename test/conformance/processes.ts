import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface StoreProcess {
  go(): void;
  /** Resolves when the process writes that line. */
  says(line: string): Promise<void>;
  kill(): Promise<void>;
  /** The exit code and what it wrote to standard error. */
  ended: Promise<{ code: number | null; errors: string }>;
}

/** Starts `store-process.ts` and waits until it is ready. */
export async function startProcess(database: string, job: readonly string[]): Promise<StoreProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'store-process.ts'), ...job], {
    env: { ...process.env, STORE: database },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, errors }));
  const says = (line: string): Promise<void> =>
    until(
      child,
      () => output.includes(`${line}\n`),
      () => errors,
    );
  await says('ready');
  return {
    go: () => child.stdin.write('go\n'),
    says,
    ended,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function until(child: ChildProcess, condition: () => boolean, errors: () => string): Promise<void> {
  while (!condition()) {
    if (child.exitCode !== null) throw new Error(`the process ended early: ${errors()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
