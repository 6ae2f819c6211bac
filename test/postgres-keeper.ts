/**
 * Keeps one PostgreSQL as long as its standard input is open, then stops it and deletes its files. So the server ends
 * with the test run, whichever way that ends.
 */
import { startPostgres } from './postgres-server.ts';

const ended = new Promise<void>((resolve) => {
  process.stdin.on('end', resolve).on('close', resolve).on('error', resolve).resume();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const server = await startPostgres();
process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
await ended;
await server.remove();
process.exit(0);
