import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A connection to a PostgreSQL server that can be cut and restored: one process loses its database, the others keep it.
 */
export class Wire implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #target: URL;
  /** The database's URL through this connection. */
  readonly database: string;

  private constructor(server: Server, target: URL, database: string) {
    this.#server = server;
    this.#target = target;
    this.database = database;
  }

  static async to(database: string): Promise<Wire> {
    const target = new URL(database);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the wire has no port');
    const through = new URL(database);
    through.hostname = '127.0.0.1';
    through.port = String(address.port);
    const wire = new Wire(server, target, through.href);
    server.on('connection', (socket) => wire.#join(socket));
    return wire;
  }

  /** Redirects new connections to another server, as a failover does. */
  point(database: string): void {
    this.#target = new URL(database);
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = connect(Number(this.#target.port), this.#target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
