import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A real PostgreSQL for one test, created in about a second. It ends with this process at the latest. */
export interface PostgresServer {
  /** Superuser URL of the database `postgres`. */
  readonly url: string;
  stop(): Promise<void>;
  /** Starts the server on the same port after {@link PostgresServer.stop}. */
  start(): Promise<void>;
  /** Stops the server and deletes its files. */
  remove(): Promise<void>;
}

/** Creates and starts a server; `settings` are PostgreSQL's, such as `max_connections=20`. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const program = join(import.meta.dirname, 'postgres-keeper.ts');
  // Detached: a Ctrl-C at the terminal must not reach the server before its orderly shutdown.
  const child = spawn(process.execPath, [program, ...settings], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('PostgreSQL did not start: its log stands above');
    return JSON.parse(value);
  };
  const command = async (word: string): Promise<void> => {
    child.stdin.write(`${word}\n`);
    await answer();
  };
  const first = await answer();
  const url: unknown = typeof first === 'object' && first !== null ? Reflect.get(first, 'url') : undefined;
  if (typeof url !== 'string') throw new Error('PostgreSQL says no URL');
  return {
    url,
    stop: () => command('stop'),
    start: () => command('start'),
    remove: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
