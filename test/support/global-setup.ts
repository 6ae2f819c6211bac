import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleCommandLine, type CommandLine } from './command-line.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The socket at which a test asks for what the whole run shares; the first to ask makes it. */
    broker: string;
  }
}

/** One PostgreSQL and one bundled command line for the whole run, each made when the first test asks for it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'grantry-test-'));
  let server: Promise<PostgresServer> | undefined;
  let commandLine: Promise<CommandLine> | undefined;
  const find = async (what: string): Promise<string> => {
    if (what === 'command line') {
      commandLine ??= bundleCommandLine();
      return (await commandLine).program;
    }
    const given = process.env['GRANTRY_TEST_POSTGRES_URL'];
    if (given) return given;
    server ??= startPostgres();
    return (await server).url;
  };
  const broker = createServer((socket) => {
    socket.on('error', () => {});
    socket.setEncoding('utf8').once('data', (what: string) => {
      find(what).then(
        (found) => socket.end(JSON.stringify({ found })),
        (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
      );
    });
  });
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${directory}` : join(directory, 'broker.sock');
  await new Promise<void>((resolve) => broker.listen(path, resolve));
  broker.unref();
  project.provide('broker', path);
  return async () => {
    await new Promise((resolve) => broker.close(resolve));
    await server?.then((own) => own.remove()).catch(() => {});
    await commandLine?.then((own) => own.remove()).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  };
}
