import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { isLoopbackHost } from '../base/network/loopback.ts';
import { isPrefetch } from '../base/network/prefetch.ts';
import { type Page, pageHeaders, renderPage } from '../server/connect/page.ts';
import { isOfOtherUser } from './peer.ts';

/** Completes the flow of one callback and returns the page for the browser. */
export type CallbackHandler = (callbackUrl: string) => Promise<Page>;

/**
 * Listens at an app's redirect URI, reachable only from this machine, until the browser comes back from the provider.
 *
 * A request with another path, state or host name is answered and changes nothing, and so is a browser's prefetch, or a
 * request of another user. Only the first callback with `state` reaches the handler. A repeated one gets the same page.
 *
 * @throws {GrantryError} `invalid_request` when the redirect URI is not a loopback one, or its port is taken
 */
export async function listenForCallback(
  redirectUri: string,
  state: string,
  handle: CallbackHandler,
): Promise<AsyncDisposable> {
  const address = loopbackAddress(redirectUri);
  let page: Promise<Page> | null = null;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = callbackUrl(request, address);
    const refuse = (status: number, title: string, text: string): void =>
      send(response, status, { tone: 'bad', title, text });
    if (url === null || isOfOtherUser(request.socket))
      return refuse(404, 'Nothing here', 'This page only waits for the answer of a provider.');
    if (url.searchParams.getAll('state').join('\n') !== state) {
      const text = 'This answer belongs to another connection. Start again from the terminal.';
      return refuse(400, 'Not this connection', text);
    }
    // The browser then asks again when the person goes there.
    if (isPrefetch(request.headers)) return refuse(503, 'Not yet', 'This page does not load in advance.');
    page ??= handle(url.href);
    const shown = await page;
    return send(response, shown.tone === 'good' ? 200 : 400, shown);
  };
  const servers: Server[] = [];
  const answers: Promise<void>[] = [];
  for (const host of address.hosts) {
    const server = createServer({ maxHeaderSize: 32_768 }, (request, response) => {
      answers.push(new Promise((resolve) => response.once('close', resolve)));
      answer(request, response).catch(() => response.destroy());
    });
    try {
      await once(server.listen({ host, port: address.port, exclusive: true }), 'listening');
      servers.push(server);
    } catch (error) {
      // `localhost` means both addresses, where the machine has both.
      if (servers.length > 0 && isErrno(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT')) continue;
      servers.forEach(stop);
      throw portError(error, address.port);
    }
  }
  return {
    // The browser gets its page before the listener closes.
    [Symbol.asyncDispose]: async () => {
      await Promise.all(answers);
      servers.forEach(stop);
    },
  };
}

/** True when this machine can listen at that redirect URI. */
export function isLoopbackRedirect(redirectUri: string): boolean {
  const url = URL.canParse(redirectUri) ? new URL(redirectUri) : null;
  return url !== null && url.protocol === 'http:' && isLoopbackHost(url.hostname);
}

interface LoopbackAddress {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly redirect: URL;
}

function loopbackAddress(redirectUri: string): LoopbackAddress {
  if (!isLoopbackRedirect(redirectUri)) {
    throw new GrantryError(
      'invalid_request',
      `The redirect URI ${redirectUri} is not on this machine, so grantry cannot listen there.`,
      {
        action:
          'Use --paste, or register a redirect URI such as http://127.0.0.1:8484/callback and put it into the app.',
      },
    );
  }
  const redirect = new URL(redirectUri);
  const host = redirect.hostname === '[::1]' ? '::1' : '127.0.0.1';
  const hosts = redirect.hostname === 'localhost' ? ['127.0.0.1', '::1'] : [host];
  return { hosts, port: Number(redirect.port === '' ? 80 : redirect.port), redirect };
}

/** The whole callback URL, or `null` when the request is for something else. */
function callbackUrl(request: IncomingMessage, { redirect }: LoopbackAddress): URL | null {
  const target = request.url ?? '';
  // The host name is compared, so that another site cannot reach this listener through DNS rebinding.
  if (request.method !== 'GET' || request.headers.host !== redirect.host || target.length > limits.callbackCharsMax)
    return null;
  if (!target.startsWith('/') || !URL.canParse(target, redirect.origin)) return null;
  const url = new URL(target, redirect.origin);
  return url.origin === redirect.origin && url.pathname === redirect.pathname ? url : null;
}

function send(response: ServerResponse, status: number, page: Page): void {
  response.writeHead(status, { ...pageHeaders('https:'), Connection: 'close' });
  response.end(renderPage(page));
}

function stop(server: Server): void {
  server.close();
  server.closeAllConnections();
}

function portError(error: unknown, port: number): unknown {
  if (isErrno(error, 'EADDRINUSE')) {
    return new GrantryError('invalid_request', `Port ${port} of the app's redirect URI is in use by another program.`, {
      action: 'Stop that program. If it is a Grantry server, connect through it with GRANTRY_URL. Or use --paste.',
      cause: error,
    });
  }
  if (isErrno(error, 'EACCES', 'EADDRNOTAVAIL')) {
    return new GrantryError('invalid_request', `This user cannot listen on port ${port} of the app's redirect URI.`, {
      action: 'Register a redirect URI with a port above 1023, or use --paste.',
      cause: error,
    });
  }
  return error;
}

function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
