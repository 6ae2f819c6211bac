/**
 * A bench for connecting through a browser: a server, and simulated providers that listen on ports for a real browser.
 */
import { createServer } from 'node:http';
import type { BrowserContext } from 'playwright-core';
import { demoClient } from '../../src/simulator/index.ts';
import { type BenchOptions, makeBench } from './bench.ts';
import { type Answered, type Called, ServerBench } from './server-bench.ts';

export const cookieName = '__Host-grantry_browser';
export const zohoScopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'];

export interface ConnectBench extends AsyncDisposable {
  readonly server: ServerBench;
  /** An application that sends its users to Grantry and records what browsers bring back. */
  readonly application: Application;
  /** Stores an app for a provider, with the application on its list. */
  putApp(name: string, provider: string, more?: Record<string, unknown>): Promise<Answered>;
  session(input: Record<string, unknown>): Promise<Answered>;
  complete(id: string, body: Record<string, unknown>): Promise<Called>;
}

/** Starts a server and providers on ports, with a consent page that waits for a person. */
export async function makeConnectBench(options: BenchOptions = {}): Promise<ConnectBench> {
  const bench = await makeBench({ listen: true, profiles: ['zoho', 'strict'], ...options });
  bench.simulator.registry.autoApprove = false;
  const zoho = bench.simulator.definitionIds().includes('zoho_crm') ? [bench.simulator.definition('zoho_crm')] : [];
  const server = new ServerBench(bench, { vault: { providers: [...bench.providers, ...zoho] } });
  await server.start();
  const application = await Application.start();
  return {
    server,
    application,
    putApp: async (name, provider, more = {}) => {
      const body = {
        provider,
        client_id: demoClient.clientId,
        client_secret: demoClient.secret,
        scopes: provider === 'zoho_crm' ? zohoScopes : ['read'],
        return_to: [application.returnTo],
        ...more,
      };
      return (await server.call('PUT', `/v1/apps/${name}`, { body })).body;
    },
    session: async (input) => {
      const { status, body } = await server.call('POST', '/v1/connect-sessions', { key: 'operator', body: input });
      if (status !== 201) throw new Error(`no session: ${body.code} ${body.detail}`);
      return body;
    },
    complete: (id, body) => server.call('POST', `/v1/connect-sessions/${id}/complete`, { key: 'operator', body }),
    [Symbol.asyncDispose]: async () => {
      await application[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The tenant's own application, at its return_to. */
export class Application implements AsyncDisposable {
  readonly returnTo: string;
  /** Queries that browsers brought back, in order. */
  readonly came: URLSearchParams[] = [];
  readonly #close: () => Promise<void>;

  private constructor(returnTo: string, close: () => Promise<void>) {
    this.returnTo = returnTo;
    this.#close = close;
  }

  static async start(): Promise<Application> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the listener has no port');
    const close = async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    const application = new Application(`http://127.0.0.1:${address.port}/connected?shop=1`, close);
    server.on('request', (request, response) => {
      const url = new URL(request.url ?? '/', application.returnTo);
      if (url.pathname === '/connected') application.came.push(url.searchParams);
      response.writeHead(url.pathname === '/connected' ? 200 : 404, { 'content-type': 'text/html' });
      response.end('<!doctype html><title>The application</title><h1>Welcome back</h1>');
    });
    return application;
  }

  /** Returns the query of the last browser. */
  get last(): URLSearchParams {
    const last = this.came.at(-1);
    if (last === undefined) throw new Error('no browser came back');
    return last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

/** Opens a link, clicks its button, and decides on the provider's consent page. */
export async function connectThrough(
  context: BrowserContext,
  url: string,
  decision: 'Accept' | 'Decline' = 'Accept',
): Promise<Awaited<ReturnType<BrowserContext['newPage']>>> {
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('button', { name: /^Continue to/ }).click();
  await page.getByRole('button', { name: decision }).click();
  return page;
}
