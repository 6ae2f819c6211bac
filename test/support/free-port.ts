import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports that operating systems choose by themselves, so that no other listener takes one before its use. */
const firstPort = 12_000;
const lastPort = 32_000;

/** Returns a port of this machine on which no process listens now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(firstPort, lastPort);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
