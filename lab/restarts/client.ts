import { Agent, type IncomingMessage, request } from 'node:http';

/** What a caller was told in the end. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What the client saw on the wire. */
export interface Seen {
  /** Answers that came whole. */
  answers: number;
  /** Repeated tries: no server listened, or the connection ended before one byte of an answer. */
  refused: number;
  resets: number;
  /** Answers of a busy server that asked to come again (429), which the client did. */
  shed: number;
  /** Answers that broke off, or that were anything else than a success. Nothing of that is repeated. */
  readonly failures: string[];
  readonly waitsMs: number[];
}

/** How long one request may take, with all its repetitions. */
const patienceMs = 60_000;

/**
 * Asks one of several equal servers, as a load balancer does. A request that no server accepted goes to the next one; an
 * accepted one is never repeated. After the first byte of an answer the rest is its answer, even when it breaks off.
 */
export class RetryingClient {
  readonly seen: Seen = { answers: 0, refused: 0, resets: 0, shed: 0, failures: [], waitsMs: [] };
  readonly #ports: readonly number[];
  readonly #key: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  #turn = 0;

  constructor(ports: readonly number[], key: string) {
    this.#ports = ports;
    this.#key = key;
  }

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const startedAt = performance.now();
    for (let tries = 1; performance.now() - startedAt < patienceMs; tries += 1) {
      this.#turn += 1;
      const port = this.#ports[this.#turn % this.#ports.length] ?? 0;
      const answer = await this.#try(port, { method, path, body });
      if (answer === undefined) {
        // Both may be starting.
        await pause(Math.min(100, 5 * tries));
        continue;
      }
      this.seen.answers += 1;
      if (answer.status === 429) {
        this.seen.shed += 1;
        await pause(1_000);
        continue;
      }
      this.seen.waitsMs.push(performance.now() - startedAt);
      if (answer.status >= 300) this.seen.failures.push(`${method} ${path}: ${answer.status} ${answer.body}`);
      return answer;
    }
    this.seen.failures.push(`${method} ${path}: no server answered`);
    return { status: 0, body: '' };
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Undefined when the request was not accepted, as far as a client can know. */
  #try(port: number, asked: { method: string; path: string; body: unknown }): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const body = asked.body === undefined ? undefined : JSON.stringify(asked.body);
      const headers = {
        authorization: `Bearer ${this.#key}`,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      };
      const { method, path } = asked;
      const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: this.#agent });
      sent.on('response', (response) => {
        read(response).then(resolve, () => {
          this.seen.failures.push(`${method} ${path}: the answer broke off`);
          resolve({ status: 0, body: '' });
        });
      });
      sent.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') this.seen.refused += 1;
        else this.seen.resets += 1;
        resolve(undefined);
      });
      sent.end(body);
    });
  }
}

async function read(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  if (!response.complete) throw new Error('cut off');
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
