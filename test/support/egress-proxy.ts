import { once } from 'node:events';
import http from 'node:http';
import { connect, type Socket } from 'node:net';

/** A real HTTP proxy that opens tunnels by CONNECT, for one test. */
export interface TestProxy extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Hosts and ports to which tunnels were asked for, in order. */
  readonly asked: string[];
  /** The values of `Proxy-Authorization`, in order. */
  readonly logins: (string | undefined)[];
}

/**
 * Starts a proxy. It resolves every name to this machine, as only a proxy can do for the names of a closed network.
 *
 * @param answer the status of a proxy that refuses, or `silent` for one that never answers
 */
export async function startProxy(
  options: { answer?: number | 'silent' | 'close'; extra?: string } = {},
): Promise<TestProxy> {
  const { answer = 200, extra = '' } = options;
  const asked: string[] = [];
  const logins: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const server = http.createServer((_request, response) => response.writeHead(405).end());
  server.on('connection', keep);
  server.on('connect', (request: http.IncomingMessage, near: Socket) => {
    asked.push(request.url ?? '');
    logins.push(request.headers['proxy-authorization']);
    if (answer === 'silent') return;
    if (answer === 'close') {
      near.destroy();
      return;
    }
    if (answer !== 200) {
      near.end(`HTTP/1.1 ${answer} No\r\nContent-Length: 2\r\n\r\nno`);
      return;
    }
    const far = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
      near.write(`HTTP/1.1 200 Connection established\r\n\r\n${extra}`);
      near.pipe(far).pipe(near);
    });
    keep(far);
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    asked,
    logins,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
