/**
 * Sends one request repeatedly on a number of connections, the next one after each answer. It uses bare sockets,
 * because the sender must cost little beside the servers on two processors.
 */
import net from 'node:net';

export interface LoadOrder {
  readonly port: number;
  /** The request's bytes. */
  readonly request: string;
  readonly connections: number;
  readonly ms: number;
}

export interface LoadReport {
  readonly answers: number;
  /** Number of answers that were not 200. */
  readonly others: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

process.on('message', (order: LoadOrder) => {
  void run(order).then((report) => process.send?.(report));
});

async function run({ port, request, connections, ms }: LoadOrder): Promise<LoadReport> {
  const bytes = Buffer.from(request, 'latin1');
  const times: number[] = [];
  let others = 0;
  const started = performance.now();
  const endsAt = started + ms;
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve) => {
          const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
          let sentAt = 0;
          let text = '';
          const send = (): void => {
            sentAt = performance.now();
            socket.write(bytes);
          };
          socket.on('connect', send).on('error', () => {
            others += 1;
            resolve();
          });
          socket.on('close', () => resolve());
          socket.on('data', (part: Buffer) => {
            text += part.toString('latin1');
            if (!isWhole(text)) return;
            const now = performance.now();
            times.push(now - sentAt);
            if (!text.startsWith('HTTP/1.1 200')) others += 1;
            text = '';
            if (now >= endsAt) socket.destroy();
            else send();
          });
        }),
    ),
  );
  const seconds = (performance.now() - started) / 1_000;
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { answers: times.length, others, seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return false;
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return length === undefined ? text.endsWith('0\r\n\r\n') : text.length >= head + 4 + Number(length);
}
