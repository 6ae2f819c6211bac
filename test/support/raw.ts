/** Sends bytes over its own socket: for requests that no HTTP client sends. */
import net from 'node:net';

/** A server that has done nothing by then does nothing at all. */
const patienceMs = 120_000;

/** Nothing but the answer that lets a body come. */
const interim = /^HTTP\/1\.1 100 [^\r\n]*\r\n\r\n$/;

export interface RawAnswer {
  /** The status; 0 when the server closed the connection without an answer. */
  readonly status: number;
  readonly text: string;
  /** The server answered or closed the connection. */
  readonly ended: boolean;
}

/** Sends bytes and reads until the server closes, or answers and then pauses. */
export async function sendBytes(url: string, bytes: string | readonly string[]): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  const parts: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let quiet: NodeJS.Timeout | undefined;
  socket.on('data', (part: Buffer) => {
    parts.push(part);
    clearTimeout(quiet);
    // The answer itself comes after this one, and may take longer than a pause.
    if (interim.test(Buffer.concat(parts).toString('latin1'))) return;
    quiet = setTimeout(resolve, 300);
  });
  socket.on('error', () => resolve()).on('close', () => resolve());
  for (const piece of typeof bytes === 'string' ? [bytes] : bytes) socket.write(piece, 'latin1');
  let ended = true;
  const longest = setTimeout(() => {
    ended = false;
    resolve();
  }, patienceMs);
  await promise;
  clearTimeout(quiet);
  clearTimeout(longest);
  socket.destroy();
  const text = Buffer.concat(parts).toString('latin1');
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, ended };
}
