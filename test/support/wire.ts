import { connect, createServer, type Server, type Socket } from 'node:net';

/** The ways in which a database goes away: no listener, broken connections, or none of its bytes arrive. */
export const outages = ['refuse', 'reset', 'swallow'] as const;
export type Outage = (typeof outages)[number];

/**
 * A connection to a PostgreSQL server that can be cut and restored: one process loses its database, the others keep it.
 */
export class Wire implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #outage: Outage | 'cut' | null = null;
  #swallowed: (() => void)[] = [];
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
    this.#outage = 'cut';
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Takes the database away. A swallowed connection stays open, and its bytes come after `mend`. */
  async lose(outage: Outage): Promise<void> {
    this.#outage = outage;
    if (outage === 'swallow') {
      for (const socket of this.#sockets) this.#hold(socket);
      return;
    }
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (outage === 'refuse') await new Promise((resolve) => this.#server.close(resolve));
  }

  mend(): void {
    if (this.#outage === 'refuse') this.#server.listen(Number(new URL(this.database).port), '127.0.0.1');
    this.#outage = null;
    for (const release of this.#swallowed.splice(0)) release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const isListening = this.#outage !== 'refuse';
    this.cut();
    if (isListening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #hold(socket: Socket): void {
    // A paused socket still pipes what it has read: cork the other direction as well.
    socket.pause();
    socket.cork();
    this.#swallowed.push(() => {
      socket.uncork();
      socket.resume();
    });
  }

  #join(near: Socket): void {
    if (this.#outage === 'cut' || this.#outage === 'refuse') {
      near.destroy();
      return;
    }
    if (this.#outage === 'reset') {
      near.resetAndDestroy();
      return;
    }
    if (this.#outage === 'swallow') {
      this.#sockets.add(near);
      near.on('error', () => {}).on('close', () => this.#sockets.delete(near));
      this.#swallowed.push(() => this.#join(near));
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
