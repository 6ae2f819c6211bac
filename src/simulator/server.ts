import { createServer, type Server, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { newControl } from './control/control.ts';
import { newEngine, type SimulatorEngine, type SimulatorOptions } from './engine.ts';
import { cutAnswers } from './fault-effects.ts';
import { Simulator } from './simulator.ts';
import type { Sites } from './state/sites.ts';

/** A simulator that listens on loopback ports. */
export class RunningSimulator extends Simulator {
  readonly #listeners: Server[] = [];
  readonly #sites: Sites;
  readonly #control = newControl(this);

  /** @internal Call {@link startSimulator} instead. */
  constructor(engine: SimulatorEngine) {
    super(engine);
    this.#sites = engine.state.sites;
  }

  /** Answers the control API and the status page as well as the simulated providers. */
  override async fetch(request: Request): Promise<Response> {
    return this.#isControl(new URL(request.url)) ? this.#control.fetch(request) : super.fetch(request);
  }

  /** The control API only answers on the simulator's own ports, under the name by which they were opened. */
  #isControl(url: URL): boolean {
    const own = url.pathname === '/' || url.pathname === '/_sim' || url.pathname.startsWith('/_sim/');
    return own && /^(?:127\.0\.0\.1|localhost)$/.test(url.hostname) && this.#sites.byHost(url.host) !== undefined;
  }

  /** Opens a port for one more server. */
  async listen(port: number): Promise<string> {
    const server = serverFor(this);
    this.#listeners.push(server);
    return `http://127.0.0.1:${await opened(server, port)}`;
  }

  /** Closes every port and every connection. */
  override async close(): Promise<void> {
    await super.close();
    await Promise.all(this.#listeners.map(closed));
  }

  /** Closes the servers. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Starts simulated providers on 127.0.0.1: one port per server; Zoho has one server per data centre.
 *
 * The first server gets `port`, the next one the following number, and so on; `port: 0`, the default, chooses free
 * ports. {@link Simulator.origins} returns the addresses. `/` on each port shows the history as a page.
 *
 * @throws {Error} with code `EADDRINUSE` when a port is taken; no port stays open then
 * @example
 * await using simulator = await startSimulator({ port: 4100, dataCenters: ['eu', 'us'], autoApprove: true });
 */
export async function startSimulator(
  options: SimulatorOptions & {
    readonly port?: number | undefined;
    /** Kinds of Zoho organisation that get ports of their own, after all others; without, one port serves all kinds. */
    readonly environments?: readonly ('sandbox' | 'developer')[] | undefined;
  } = {},
): Promise<RunningSimulator> {
  const engine = newEngine(options);
  const simulator = new RunningSimulator(engine);
  const first = options.port ?? 0;
  try {
    const { sites } = engine.state;
    let count = 0;
    const next = () => simulator.listen(first === 0 ? 0 : first + count++);
    for (const site of sites.list()) sites.listen(site, await next());
    for (const environment of options.environments ?? [])
      for (const site of sites.list()) if (site.zoho !== null) sites.listenFor(site, environment, await next());
  } catch (error) {
    await simulator.close();
    throw error;
  }
  return simulator;
}

/** Creates a server that turns broken answers into broken sockets. */
function serverFor(simulator: Simulator): Server {
  const listener = getRequestListener(
    async (request, { outgoing }) => {
      try {
        const response = await simulator.fetch(request);
        const broken = cutAnswers.get(response);
        if (broken === undefined || !(outgoing instanceof ServerResponse)) return response;
        outgoing.writeHead(broken.status, { ...broken.headers });
        outgoing.write(broken.half, () => outgoing.socket?.destroy());
        return RESPONSE_ALREADY_SENT;
      } catch {
        // A fault or a vanished caller ends here; either way the connection breaks.
        outgoing.socket?.resetAndDestroy();
        return RESPONSE_ALREADY_SENT;
      }
    },
    { overrideGlobalObjects: false },
  );
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  server.keepAliveTimeout = 30_000;
  return server;
}

function opened(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('the listener has no port'));
      else resolve(address.port);
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
