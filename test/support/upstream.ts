/**
 * A server with real sockets on both sides: its own vault, and a provider that is a plain HTTP server in this process.
 * For behaviour that a simulated network cannot show: streams, back-pressure, broken connections.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemWorld } from '../../src/base/system-world.ts';
import type { World } from '../../src/base/world.ts';
import { openVault, type Vault } from '../../src/index.ts';
import type { ProviderDefinitionInput } from '../../src/providers/definition.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/server/index.ts';
import { patient } from './patient-limits.ts';
import { sendBytes } from './raw.ts';

export interface UpstreamOptions {
  /** The provider's API; the bench answers the token endpoint itself. */
  readonly api: http.RequestListener;
  readonly change?: (definition: ProviderDefinitionInput) => ProviderDefinitionInput;
  readonly server?: Partial<ServerOptions>;
  readonly metadata?: Record<string, unknown>;
  /** More members of the token endpoint's answers. */
  readonly answer?: (origin: string) => Record<string, unknown>;
  readonly world?: World;
}

/** Tokens that the token endpoint returns. */
export const tokens = { first: 'access-token-one', refreshed: 'access-token-two', refresh: 'refresh-token-one' };

export async function makeUpstream(options: UpstreamOptions): Promise<Upstream> {
  const sockets = new Set<net.Socket>();
  const made: { refreshes: number } = { refreshes: 0 };
  const provider = http.createServer((request, response) => {
    if (request.url !== '/oauth/token') return options.api(request, response);
    request.resume().on('end', () => {
      made.refreshes += 1;
      response.setHeader('content-type', 'application/json');
      const access = made.refreshes === 1 ? tokens.refreshed : `${tokens.refreshed}-${made.refreshes}`;
      const more = options.answer?.(origin) ?? {};
      response.end(JSON.stringify({ access_token: access, token_type: 'Bearer', expires_in: 3600, ...more }));
    });
  });
  provider.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  const origin = await listening(provider);
  const home = mkdtempSync(join(tmpdir(), 'grantry-upstream-'));
  const definition: ProviderDefinitionInput = {
    id: 'plain',
    endpoints: { token: `${origin}/oauth/token` },
    refreshToken: { rotation: 'none' },
    api: { hosts: [origin, origin.replace('127.0.0.1', 'localhost')] },
  };
  const world = options.world ?? systemWorld({ allowLoopback: true });
  const vault = await openVault({
    home,
    database: `sqlite:${join(home, 'grantry.db')}`,
    rootKey: `file:${join(home, 'root.key')}`,
    providers: [options.change?.(definition) ?? definition],
    unsafeAllowLoopbackProviders: 'the provider listens in this process',
    world,
  });
  await vault.apps.put('plain', { provider: 'plain', clientId: 'client', clientSecret: 'a-client-secret' });
  const { key } = await vault.keys.create('caller', { role: 'caller', tenants: ['acme', 'globex'] });
  const server = await startServer({
    open: () => Promise.resolve(vault),
    port: 0,
    workers: false,
    world,
    ...patient(options.server ?? {}),
  });
  const upstream = new Upstream({ server, vault, key: key.reveal(), origin, made });
  await upstream.connect('acme', options.metadata);
  upstream.onClose(async () => {
    await server.stop();
    for (const socket of sockets) socket.destroy();
    provider.close();
    rmSync(home, { recursive: true, force: true });
  });
  return upstream;
}

interface Parts {
  readonly server: RunningServer;
  readonly vault: Vault;
  readonly key: string;
  readonly origin: string;
  readonly made: { refreshes: number };
}

export class Upstream implements AsyncDisposable {
  readonly url: string;
  readonly vault: Vault;
  readonly key: string;
  /** The provider's origin. */
  readonly origin: string;
  readonly #parts: Parts;
  #close: () => Promise<void> = async () => {};

  constructor(parts: Parts) {
    this.#parts = parts;
    this.url = parts.server.url;
    this.vault = parts.vault;
    this.key = parts.key;
    this.origin = parts.origin;
  }

  /** Number of requests to the token endpoint. */
  get refreshes(): number {
    return this.#parts.made.refreshes;
  }

  async connect(tenant: string, metadata: Record<string, unknown> = {}): Promise<void> {
    await this.vault.storeTokens(
      { tenant, provider: 'plain' },
      { app: 'plain', refreshToken: tokens.refresh, accessToken: tokens.first, expiresIn: 3600, metadata },
    );
  }

  /** Calls the proxy for acme; bodies may be streams. */
  call(path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${this.key}`);
    return fetch(`${this.url}/v1/proxy/acme/plain${path}`, { redirect: 'manual', ...init, headers });
  }

  onClose(close: () => Promise<void>): void {
    this.#close = close;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

async function listening(server: http.Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the provider does not listen on TCP');
  return `http://127.0.0.1:${address.port}`;
}

/** Requests that reached the provider, one entry each. */
export function noting(): { seen: http.IncomingMessage[]; api: http.RequestListener } {
  const seen: http.IncomingMessage[] = [];
  return {
    seen,
    api: (request, response) => {
      seen.push(request);
      request.resume().on('end', () => response.end('ok'));
    },
  };
}

/** Sends a GET by hand, so that each header is sent as it is written. */
export function getBytes(
  upstream: Upstream,
  path: string,
  headers: readonly string[] = [],
): ReturnType<typeof sendBytes> {
  const lines = [`GET ${path} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${upstream.key}`, ...headers];
  return sendBytes(upstream.url, `${lines.join('\r\n')}\r\n\r\n`);
}
