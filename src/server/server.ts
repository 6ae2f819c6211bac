import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import type { Meter } from '../base/meter.ts';
import type { Secret } from '../base/secret.ts';
import { systemWorld } from '../base/system-world.ts';
import type { Tracer } from '../base/tracer.ts';
import type { World } from '../base/world.ts';
import { adoptAdminKey, findApiKey, findChangedKeys, hasAdminKey, noteUses } from '../vault/api-keys.ts';
import { Refusals } from '../vault/audit/refusals.ts';
import type { VaultContext } from '../vault/context.ts';
import { internalsOf } from '../vault/internals.ts';
import type { Vault } from '../vault/types.ts';
import { startWorkers, type Workers } from '../workers/workers.ts';
import { Access } from './access.ts';
import type { ServerContext } from './context.ts';
import { drain } from './drain.ts';
import { makeHandler } from './handler.ts';
import { limitConnections } from './limits/connection-limits.ts';
import { type ServerLimits, serverLimits } from './limits/server-limits.ts';
import { Strangers } from './limits/strangers.ts';
import { Traffic } from './limits/traffic.ts';
import { problemOf } from './problem.ts';
import { checkPublicUrl, ownPublicUrl } from './public-url.ts';
import { keepTelling, refusalOf, tellRefusals } from './refusals.ts';
import { Metrics } from './telemetry/metrics.ts';
import { findTracer } from './telemetry/tracing.ts';
import { Watch, type WatchOptions } from './telemetry/watch.ts';
import { VaultHolder } from './vault-holder.ts';

/** The meter and tracer of a server, to be passed on to `openVault`. */
export interface Instruments {
  readonly meter: Meter;
  readonly tracer: Tracer | undefined;
}

/** Options of {@link startServer}. */
export interface ServerOptions {
  /**
   * Opens the vault; called again while its database or root key is unavailable. The server closes the vault. Its metrics
   * include the vault's if the vault gets these instruments.
   */
  readonly open: (instruments: Instruments) => Promise<Vault>;
  /** `127.0.0.1` when left out. */
  readonly host?: string | undefined;
  /** 8484 when left out; 0 picks a free one. */
  readonly port?: number | undefined;
  /**
   * The URL at which users and providers reach this server: https, or http on a loopback address. When left out, its own
   * address, or `http://127.0.0.1` at its port if that is no loopback address.
   */
  readonly publicUrl?: string | undefined;
  /** `false` runs no workers, which refresh grants ahead of need. */
  readonly workers?: boolean | undefined;
  /** An admin key from outside, taken while there is no admin key. */
  readonly adminKey?: Secret | undefined;
  /** Makes tenants labels of metrics; `false` when left out. */
  readonly metricsTenants?: boolean | undefined;
  /**
   * The milliseconds for which a stopping server still takes connections while `/readyz` fails, so that load balancers
   * notice; 0 when left out.
   */
  readonly stopDelayMs?: number | undefined;
  /** The version in the API's description. */
  readonly version?: string | undefined;
  readonly logger?: Logger | undefined;
  readonly world?: World | undefined;
  /** Changes of the server's limits. */
  readonly limits?: Partial<ServerLimits> | undefined;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** The URL at which it listens. */
  readonly url: string;
  /** Counts a log line from which a likely secret was removed. */
  lineScrubbed(): void;
  /**
   * Reports that it is not ready, takes no new connections, answers the requests that it has read, finishes the refreshes that
   * were sent, and closes the vault. With a provider that hangs this takes up to two minutes.
   */
  stop(): Promise<void>;
}

/** The time for running requests once the server stops: no caller waits longer than 30 s for a token. */
const drainMs = 35_000;

/**
 * Serves a vault over HTTP: tokens, grants, apps, providers, keys.
 *
 * Any number of servers may share one PostgreSQL database; they are equal.
 *
 * @throws {GrantryError} `invalid_request` for a port that is taken, and every error of `open` that waiting does not cure
 *
 * @example
 * import { openVault } from 'grantry';
 * import { startServer } from 'grantry/server';
 * const server = await startServer({ open: () => openVault() });
 * process.once('SIGTERM', () => void server.stop());
 * console.log(server.url);
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const world = options.world ?? systemWorld();
  const logger = options.logger ?? silentLogger;
  const publicUrl = checkPublicUrl(options.publicUrl);
  const running = new AbortController();
  const metrics = new Metrics({ world, tenants: options.metricsTenants === true });
  const tracer = await findTracer(options.version ?? '0');
  let workers: Workers | undefined;
  const access: Access = makeAccess(() => holder.get(), world, logger);
  // Before the vault is open, so that a caller with this key learns that the vault is unavailable, not that the key is wrong.
  if (options.adminKey !== undefined) access.admitForeign(options.adminKey.reveal());
  const holder = await VaultHolder.open({
    open: () => options.open({ meter: metrics, tracer }),
    world,
    logger,
    onOpen: async (vault) => {
      await takeAdminKey(vault, options.adminKey, logger);
      // A stopping server must not start workers: nothing would stop them.
      if (options.workers !== false && !running.signal.aborted) workers = startWorkers(vault);
    },
  });
  const allowed = { ...serverLimits, ...options.limits };
  const server = makeHttpServer(allowed);
  try {
    await listen(server, options.port ?? 8_484, options.host ?? '127.0.0.1');
  } catch (error) {
    running.abort(new Error('the server does not start'));
    await workers?.stop();
    await holder.close();
    throw error;
  }
  const url = addressOf(server);
  const context: ServerContext = {
    world,
    logger,
    access,
    publicUrl: publicUrl ?? ownPublicUrl(url, logger),
    metrics,
    vault: () => holder.get(),
    limits: allowed,
    traffic: new Traffic(world, allowed),
    strangers: new Strangers(),
  };
  const refusals = new Refusals();
  const refused: WatchOptions['refused'] = (note, response) => refusals.add(refusalOf(note, response), world.now());
  const watch = new Watch({ world, logger, metrics, tracer, refused });
  const draining = (): boolean => running.signal.aborted;
  server.on('request', makeHandler(context, { version: options.version ?? '0', draining, watch }));
  const notes = Promise.all([keepUp(context, running.signal), keepTelling(context, refusals, running.signal)]);
  async function stopAll(): Promise<void> {
    running.abort(new Error('the server stops'));
    watch.endConnections();
    logger.info('stopping');
    // Workers claim nothing from now on; their running refreshes continue beside the callers' requests.
    const workersEnded = workers?.stop();
    await world.sleep(options.stopDelayMs ?? 0);
    await drain(server, world, drainMs);
    // No caller waits any more: refreshes that were sent are finished, and no others begin.
    holder.windDown();
    await workersEnded;
    await notes;
    await access.flush();
    await tellRefusals(context, refusals);
    await holder.close();
    logger.info('stopped', { requests: watch.accepted, unanswered: watch.unanswered });
  }
  const stop = onlyOnce(stopAll);
  logger.info('listening', { url, public_url: context.publicUrl });
  return { url, stop, lineScrubbed: () => metrics.lineScrubbed(), [Symbol.asyncDispose]: stop };
}

/** Later calls get the promise of the first. */
function onlyOnce(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}

function makeAccess(vault: () => Vault, world: World, logger: Logger): Access {
  const opened = (): VaultContext => internalsOf(vault()).open();
  return new Access({
    find: async (hash) => findApiKey(opened(), hash),
    findChanged: async (known) => findChangedKeys(opened(), known),
    offlineMs: () => internalsOf(vault()).handOut.staleHandOutMs,
    noteUses: async (uses) => noteUses(opened(), uses),
    world,
    logger,
  });
}

/** Takes the admin key from outside. Without one, no caller can make another key over HTTP. */
async function takeAdminKey(vault: Vault, adminKey: Secret | undefined, logger: Logger): Promise<void> {
  const context = internalsOf(vault).open();
  if (adminKey === undefined) {
    const action = 'Make one: grantry key create NAME --role admin';
    if (!(await hasAdminKey(context))) logger.info('there is no admin key yet', { action });
    return;
  }
  const outcome = await adoptAdminKey(context, adminKey.reveal());
  if (outcome === 'taken') logger.info('the first admin key was taken from its file');
  if (outcome === 'not_needed') logger.warn('the admin key file was ignored: there is already an admin key');
}

/** Everything that a server does again and again until it stops. */
async function keepUp(context: ServerContext, signal: AbortSignal): Promise<void> {
  const { access, traffic } = context;
  await Promise.all([keepNotingUses(context, signal), access.watch(signal), traffic.watch(signal)]);
}

async function keepNotingUses({ access, world }: ServerContext, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await world.sleep(limits.apiKeyUseNotedMs, signal, { background: true });
    } catch {
      return;
    }
    await access.flush();
  }
}

function makeHttpServer(allowed: ServerLimits): Server {
  const server = createServer({
    // The line with the URL counts too, and a callback's is long.
    maxHeaderSize: limits.requestHeaderBytesMax + limits.callbackCharsMax,
    headersTimeout: allowed.headersMs,
    // Bodies have their own deadlines: short for JSON, none for a streamed body while data moves.
    requestTimeout: 0,
    connectionsCheckingInterval: 1_000,
  });
  server.maxHeadersCount = limits.requestHeadersMax + 1;
  server.on('clientError', refuseBroken);
  limitConnections(server, allowed);
  return server;
}

async function listen(server: Server, port: number, host: string): Promise<void> {
  try {
    await once(server.listen(port, host), 'listening');
  } catch (cause) {
    const inUse = cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
    const message = inUse ? `The port ${port} is already in use.` : `The server cannot listen on ${host}:${port}.`;
    throw new GrantryError('invalid_request', message, {
      action: 'Choose another port with --port or GRANTRY_PORT.',
      cause,
    });
  }
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new GrantryError('internal', 'The server has no address.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

/** Answers a request that is not valid HTTP or is incomplete, without repeating any of it. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, reason] = brokenStatus(error.code);
  const body = JSON.stringify({ ...problemOf(new GrantryError('invalid_request', reason), status), title: reason });
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`);
}

function brokenStatus(code: string | undefined): [number, string] {
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'Request Header Fields Too Large'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'Request Timeout'];
  return [400, 'Bad Request'];
}
