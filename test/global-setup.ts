import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where a test asks for the run's PostgreSQL; connecting starts it. */
    postgresBroker: string;
  }
}

/**
 * One PostgreSQL for the whole run, started when the first test asks for it: a worker connects to this socket and is
 * told the URL.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'grantry-test-'));
  const keeper = new Keeper();
  const broker = createServer((socket) => {
    socket.on('error', () => {});
    keeper.url().then(
      (url) => socket.end(JSON.stringify({ url })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    );
  });
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${directory}` : join(directory, 'broker.sock');
  await new Promise<void>((resolve) => broker.listen(path, resolve));
  broker.unref();
  project.provide('postgresBroker', path);
  return async () => {
    await new Promise((resolve) => broker.close(resolve));
    await keeper.end();
    await rm(directory, { recursive: true, force: true });
  };
}

class Keeper {
  #child: ChildProcess | undefined;
  #url: Promise<string> | undefined;

  url(): Promise<string> {
    const given = process.env['GRANTRY_TEST_POSTGRES_URL'];
    if (given) return Promise.resolve(given);
    this.#url ??= this.#start();
    return this.#url;
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await ended;
  }

  #start(): Promise<string> {
    const program = join(import.meta.dirname, 'postgres-keeper.ts');
    // Detached: a Ctrl-C at the terminal must not reach the server before it is shut down in order.
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    this.#child = child;
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) => {
        const message: unknown = JSON.parse(line);
        const url: unknown = typeof message === 'object' && message !== null ? Reflect.get(message, 'url') : undefined;
        if (typeof url === 'string') resolve(url);
        else reject(new Error('the keeper says no URL'));
      });
      child.once('exit', (code) => reject(new Error(`PostgreSQL did not start (exit ${code})`)));
      child.once('error', reject);
    });
  }
}
