import type { Command } from 'commander';
import { GrantryError } from '../../base/errors.ts';
import { keepHeapSmall } from '../../base/heap.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { type Context, contextOf, makeContextVault, refuseServer } from '../context.ts';
import { readSmallFile } from '../files.ts';
import { stderrLogger } from '../log.ts';
import { wholeNumber } from '../numbers.ts';
import { limitsFrom } from '../server-limits.ts';
import { untilSignal } from '../signals.ts';
import { catchDefects } from '../uncaught.ts';
import { ownVersion } from '../version.ts';

interface ServeOptions {
  host?: string;
  port?: string;
  workers: boolean;
  stopDelay?: string;
}

export function define(command: Command): void {
  command
    .description(
      'Runs the HTTP server with its workers until SIGTERM or Ctrl-C: then it finishes what was begun. A second signal ' +
        'ends it at once. Make the first key with grantry key create NAME --role admin, or put one into GRANTRY_ADMIN_KEY_FILE.',
    )
    .option('--host <address>', 'GRANTRY_HOST: where to listen (default: 127.0.0.1)')
    .option('--port <port>', 'GRANTRY_PORT (default: 8484)')
    .option(
      '--stop-delay <seconds>',
      'GRANTRY_STOP_DELAY: not ready, and still answering, before it stops (default: 0)',
    )
    .option('--no-workers', 'a pure front: other servers on the same database refresh ahead')
    .addHelpText(
      'after',
      `
Examples:
  grantry serve
  GRANTRY_DATABASE=postgres://grantry@db/grantry GRANTRY_PUBLIC_URL=https://grants.example.com grantry serve --host 0.0.0.0`,
    )
    .action(async (options: ServeOptions) => serve(contextOf(command), options));
}

async function serve(context: Context, options: ServeOptions): Promise<void> {
  refuseServer(context, 'serve');
  keepHeapSmall();
  const { settings, world, output } = context;
  // Before anything is opened: a signal during the start must not cut it off.
  const signalled = untilSignal();
  const port = wholeNumber('--port', options.port ?? given('GRANTRY_PORT') ?? '8484', { min: 0, max: 65_535 });
  const stopDelay = wholeNumber('--stop-delay', options.stopDelay ?? given('GRANTRY_STOP_DELAY') ?? '0', {
    min: 0,
    max: 300,
  });
  const adminKey = await readAdminKey(given('GRANTRY_ADMIN_KEY_FILE'));
  const { startServer } = await import('../../server/index.ts');
  // A program that stays tells what it does; one that ends after a command speaks up when something is wrong.
  let lineScrubbed = (): void => {};
  const level = settings.isLogLevelGiven ? settings : { ...settings, logLevel: 'info' as const };
  const logger = stderrLogger(world, level, { onScrubbed: () => lineScrubbed() });
  catchDefects(logger);
  const server = await startServer({
    open: (instruments) =>
      makeContextVault(context, { ...instruments, backgroundRefresh: true, logger }, { quiet: true }),
    host: options.host ?? given('GRANTRY_HOST') ?? '127.0.0.1',
    port,
    publicUrl: settings.isPublicUrlGiven ? settings.publicUrl : undefined,
    workers: options.workers,
    metricsTenants: isOn('GRANTRY_METRICS_TENANTS'),
    stopDelayMs: stopDelay * 1_000,
    adminKey,
    version: ownVersion(),
    limits: limitsFrom(process.env),
    logger,
    world,
  });
  lineScrubbed = () => server.lineScrubbed();
  if (output.json) output.printJson({ url: server.url });
  else output.note(`Grantry listens at ${server.url}. Ctrl-C stops it.`);
  await signalled;
  const impatient = (): void => {
    logger.warn('ended at once by a second signal');
    process.exit(1);
  };
  process.once('SIGINT', impatient);
  process.once('SIGTERM', impatient);
  await server.stop();
}

async function readAdminKey(file: string | undefined): Promise<Secret | undefined> {
  if (file === undefined) return undefined;
  const text = Buffer.from(await readSmallFile(file, limits.apiKeyCharsMax))
    .toString('utf8')
    .trim();
  if (text !== '') return new Secret(text);
  throw new GrantryError('invalid_request', `The admin key file ${file} is empty.`, {
    action: 'Put a key into it: gry_ and at least 32 random characters of a-z A-Z 0-9 _ -.',
  });
}

function given(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === '' ? undefined : value;
}

function isOn(name: string): boolean {
  const value = given(name);
  if (value === undefined || value === '0') return false;
  if (value === '1') return true;
  throw new GrantryError('invalid_request', `${name} is 1, or not set at all.`);
}
