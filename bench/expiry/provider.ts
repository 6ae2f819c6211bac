import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

/** A token endpoint with strict rotation that records its requests. */
export interface WatchedProvider extends AsyncDisposable {
  readonly origin: string;
  /** Number of requests for each refresh token. */
  readonly spent: ReadonlyMap<string, number>;
  /** Arrival of each request, in milliseconds since 1970. */
  readonly arrivals: readonly number[];
  readonly mostAtOnce: number;
}

export async function startProvider(answerMs: number): Promise<WatchedProvider> {
  const spent = new Map<string, number>();
  const arrivals: number[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const form = new URLSearchParams(await bodyOf(request));
    const token = form.get('refresh_token') ?? '';
    const times = (spent.get(token) ?? 0) + 1;
    spent.set(token, times);
    arrivals.push(Date.now());
    atOnce += 1;
    mostAtOnce = Math.max(mostAtOnce, atOnce);
    await pause(answerMs);
    atOnce -= 1;
    response.setHeader('content-type', 'application/json');
    if (times > 1) {
      response.statusCode = 400;
      response.end(JSON.stringify({ error: 'invalid_grant' }));
      return;
    }
    const name = `${token}-next`;
    const tokens = { access_token: `access-${name}`, refresh_token: name, expires_in: 3_600, token_type: 'Bearer' };
    response.end(JSON.stringify(tokens));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the token endpoint has no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    spent,
    arrivals,
    get mostAtOnce() {
      return mostAtOnce;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
