import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Address where a test requests the run's PostgreSQL; the first connection starts it. */
    postgresBroker: string;
  }
}

/**
 * One PostgreSQL for the whole run, started by the first test that needs it: a worker connects to this socket and
 * receives the URL.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'grantry-test-'));
  let server: Promise<PostgresServer> | undefined;
  const broker = createServer((socket) => {
    socket.on('error', () => {});
    const given = process.env['GRANTRY_TEST_POSTGRES_URL'];
    if (!given) server ??= startPostgres();
    Promise.resolve(given || server?.then((own) => own.url)).then(
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
    await server?.then((own) => own.remove()).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  };
}
