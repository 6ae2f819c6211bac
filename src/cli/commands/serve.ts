import type { Command } from 'commander';
import { errorCodes } from '../../base/errors.ts';
import { keepHeapSmall } from '../../base/heap.ts';
import type { Logger } from '../../base/log.ts';
import type { RunningServer, ServerLimits } from '../../server/index.ts';
import { type Setting, settingReader, settings as table } from '../../vault/settings.ts';
import { readAdminKeyFile } from '../admin-key-file.ts';
import { type Context, contextOf, makeContextVault, refuseServer } from '../context.ts';
import { stderrLogger } from '../log.ts';
import { addSettings, epilogue, variableLines } from '../options.ts';
import { ownSignals, untilSignal } from '../signals.ts';
import { toGrantryError } from '../terminal/errors.ts';
import { defectOf, endOnUncaught } from '../uncaught.ts';
import { ownVersion } from '../version.ts';
import { logWarnings } from '../warnings.ts';
import { loadWholeProgram } from '../whole-program.ts';

const serverSettings: readonly Setting[] = Object.values(table);

interface ServeOptions {
  host?: string;
  port?: string;
  workers: boolean;
  stopDelay?: string;
}

export function define(command: Command): void {
  command.description(
    'Runs the HTTP server with its workers until SIGTERM or Ctrl-C, and then finishes the requests that it has begun. A second signal ' +
      'ends it at once. Make the first key with grantry key create NAME --role admin, or put one into the file that ' +
      'GRANTRY_ADMIN_KEY_FILE names.',
  );
  addSettings(command, [table.host, table.port, table.publicUrl, table.stopDelay]);
  command
    .option('--no-workers', 'only answer requests; other servers on the same database refresh ahead of need')
    .addHelpText(
      'after',
      epilogue(`Environment variables without a flag:
${variableLines(serverSettings.filter(({ server }) => server === true))}

Examples:
  grantry serve
  grantry serve --database postgres://grantry@db/grantry --host 0.0.0.0 \\
    --public-url https://grants.example.com`),
    )
    .action(async (options: ServeOptions) => serve(contextOf(command), options));
}

async function serve(context: Context, options: ServeOptions): Promise<void> {
  refuseServer(context, 'serve');
  keepHeapSmall();
  const { settings, world } = context;
  let lineScrubbed = (): void => {};
  // A server logs what it does; a command that ends logs problems only.
  const level = settings.isLogLevelGiven ? settings : { ...settings, logLevel: 'info' as const };
  const logger = stderrLogger(world, level, { service: true, onScrubbed: () => lineScrubbed() });
  logWarnings(logger);
  try {
    await run(context, options, logger, (server) => {
      lineScrubbed = () => server.lineScrubbed();
    });
  } catch (thrown) {
    if (process.stderr.isTTY) throw thrown;
    // The collector of a log reads JSON lines only.
    const { code, message, action } = toGrantryError(thrown);
    const defect = code === 'internal' ? defectOf(thrown) : {};
    logger.error('the server does not start', { code, detail: message, action, ...defect });
    process.exitCode = errorCodes[code].exit;
  }
}

async function run(
  context: Context,
  options: ServeOptions,
  logger: Logger,
  onStart: (server: RunningServer) => void,
): Promise<void> {
  const { settings, world, output } = context;
  // First, so that a signal during the start does not cut it off.
  const signalled = untilSignal();
  const read = settingReader('flag', process.env);
  const host = read(table.host, options.host) ?? table.host.usual;
  const port = read(table.port, options.port) ?? Number(table.port.usual);
  const stopDelay = read(table.stopDelay, options.stopDelay) ?? 0;
  const metricsTenants = read(table.metricsTenants) ?? false;
  const adminKey = readAdminKeyFile(read(table.adminKeyFile));
  loadWholeProgram();
  const { startServer } = await import('../../server/index.ts');
  let server: RunningServer | undefined;
  // After a defect no new work begins. Requests that were sent are answered first: only this process gets their answers.
  endOnUncaught({ logger, world }, async () => server?.stop());
  const started = await startServer({
    open: (instruments) =>
      makeContextVault(context, { ...instruments, backgroundRefresh: true, logger }, { quiet: true }),
    host,
    port,
    publicUrl: settings.isPublicUrlGiven ? settings.publicUrl : undefined,
    workers: options.workers,
    metricsTenants,
    stopDelayMs: stopDelay * 1_000,
    adminKey,
    version: ownVersion(),
    limits: serverLimits(),
    logger,
    world,
  });
  server = started;
  onStart(started);
  if (output.json) output.printJson({ url: started.url });
  else if (process.stderr.isTTY) output.note(`Grantry listens at ${started.url}. Ctrl-C stops it.`);
  await signalled;
  const impatient = (): void => {
    logger.warn('ended at once by a second signal');
    process.exit(1);
  };
  ownSignals(impatient);
  await started.stop();
}

/** The limits of the server that the environment changes. */
function serverLimits(): Partial<ServerLimits> {
  const read = settingReader('flag', process.env);
  const given = {
    tenantRequestsPerSecond: read(table.tenantRate),
    tenantBurst: read(table.tenantBurst),
    tenantCallsAtOnce: read(table.tenantCalls),
    providerCallsAtOnce: read(table.providerCalls),
    connections: read(table.connections),
    connectionsPerAddress: read(table.connectionsPerAddress),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
