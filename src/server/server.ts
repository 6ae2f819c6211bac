import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import type { Secret } from '../base/secret.ts';
import { systemWorld, type World } from '../base/world.ts';
import { adoptAdminKey } from '../vault/api-keys.ts';
import { internalsOf } from '../vault/internals.ts';
import type { Vault } from '../vault/types.ts';
import { startWorkers, type Workers } from '../workers/workers.ts';
import { Access } from './access.ts';
import type { ServerContext } from './context.ts';
import { makeHandler } from './handler.ts';
import { VaultHolder } from './vault-holder.ts';

/** What {@link startServer} needs to know. */
export interface ServerOptions {
  /** Opens the vault; called again while its database or root key is away. The server closes what it opened. */
  readonly open: () => Promise<Vault>;
  /** `127.0.0.1` when left out. */
  readonly host?: string | undefined;
  /** 8484 when left out; 0 picks a free one. */
  readonly port?: number | undefined;
  /** Where users and providers reach this server; its own address when left out. */
  readonly publicUrl?: string | undefined;
  /** `false`: a pure front, without the workers that refresh ahead. */
  readonly workers?: boolean | undefined;
  /** An administrator's key from outside, taken while there is none. */
  readonly adminKey?: Secret | undefined;
  /** Said in the API's description. */
  readonly version?: string | undefined;
  readonly logger?: Logger | undefined;
  readonly world?: World | undefined;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** Where it listens. */
  readonly url: string;
  /** Takes no new connections, finishes what was begun, and closes the vault. */
  stop(): Promise<void>;
}

/** How long requests may take to end once the server stops: a refresh past its point of no return is waited for. */
const drainMs = 30_000;

/**
 * Serves a vault over HTTP: tokens, grants, apps, providers, keys.
 *
 * Any number of servers may stand on one PostgreSQL; they are equal.
 *
 * @throws {GrantryError} `invalid_request` for a port that is taken, and whatever `open` throws that waiting does not cure
 *
 * @example
 * import { openVault } from 'grantry';
 * import { startServer } from 'grantry/server';
 * await using server = await startServer({ open: () => openVault() });
 * console.log(server.url);
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const world = options.world ?? systemWorld();
  const logger = options.logger ?? silentLogger;
  const running = new AbortController();
  let workers: Workers | undefined;
  const access: Access = new Access({ vault: () => holder.get(), world, logger });
  const holder = await VaultHolder.open({
    open: options.open,
    world,
    logger,
    onOpen: async (vault) => {
      await takeAdminKey(access, vault, options.adminKey, logger);
      if (options.workers !== false) workers = startWorkers(vault);
    },
  });
  const server = createServer({
    maxHeaderSize: limits.requestHeaderBytesMax,
    headersTimeout: limits.requestHeadersMs,
    // Bodies have their own deadlines: a JSON body a short one, a streamed one none while it moves.
    requestTimeout: 0,
    connectionsCheckingInterval: 1_000,
  });
  server.maxHeadersCount = limits.requestHeadersMax + 1;
  server.on('clientError', refuseBroken);
  try {
    await listen(server, options.port ?? 8_484, options.host ?? '127.0.0.1');
  } catch (error) {
    await workers?.stop();
    await holder.close();
    throw error;
  }
  const url = addressOf(server);
  const context: ServerContext = {
    world,
    logger,
    access,
    publicUrl: options.publicUrl ?? url,
    vault: () => holder.get(),
  };
  server.on(
    'request',
    makeHandler(context, { version: options.version ?? '0', draining: () => running.signal.aborted }),
  );
  const notes = noteUses(context, running.signal);
  async function stop(): Promise<void> {
    if (running.signal.aborted) return stopped.promise;
    running.abort(new Error('the server stops'));
    logger.info('stopping');
    await drain(server, world);
    await workers?.stop();
    await notes;
    await access.flush();
    await holder.close();
    logger.info('stopped');
    stopped.resolve();
  }
  const stopped = Promise.withResolvers<void>();
  logger.info('listening', { url, public_url: context.publicUrl });
  return { url, stop, [Symbol.asyncDispose]: stop };
}

async function takeAdminKey(access: Access, vault: Vault, adminKey: Secret | undefined, logger: Logger): Promise<void> {
  if (adminKey === undefined) return;
  const key = adminKey.reveal();
  const outcome = await adoptAdminKey(internalsOf(vault).open(), key);
  access.admitForeign(key);
  if (outcome === 'taken') logger.info('the first admin key was taken from its file');
  if (outcome === 'not_needed') logger.warn('the admin key file was left alone: there is an admin key already');
}

async function noteUses({ access, world }: ServerContext, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await world.sleep(limits.apiKeyUseNotedMs, signal, { background: true });
    } catch {
      return;
    }
    await access.flush();
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE';
      const message = inUse ? `The port ${port} is taken.` : `The server cannot listen on ${host}:${port}.`;
      reject(
        new GrantryError('invalid_request', message, {
          action: 'Choose another with --port or GRANTRY_PORT.',
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new GrantryError('internal', 'The server has no address.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

/** Answers what is not HTTP at all, or never came whole. Nothing of it is repeated. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, reason] = brokenStatus(error.code);
  const code = 'invalid_request';
  const body = JSON.stringify({
    type: `urn:grantry:error:${code}`,
    title: reason,
    status,
    detail: reason,
    code,
    action: 'Fix the call.',
  });
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`);
}

function brokenStatus(code: string | undefined): [number, string] {
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'Request Header Fields Too Large'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'Request Timeout'];
  return [400, 'Bad Request'];
}

/** Ends the connections that are idle, waits for the busy ones, and then ends those, too. */
async function drain(server: Server, world: World): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const enough = new AbortController();
  const late = world.sleep(drainMs, enough.signal, { background: true }).then(() => server.closeAllConnections());
  await Promise.race([closed, late]);
  enough.abort(new Error('drained'));
  await late.catch(() => {});
  await closed;
}
