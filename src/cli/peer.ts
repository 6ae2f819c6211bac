import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

/**
 * True if another user of this machine made a loopback connection. Only Linux tells; elsewhere it is false. Root may be a
 * relay, such as that of a browser outside of a virtual machine, and needs no connection to do harm.
 */
export function isOfOtherUser({ localPort, remotePort }: Pick<Socket, 'localPort' | 'remotePort'>): boolean {
  if (process.platform !== 'linux' || localPort === undefined || remotePort === undefined) return false;
  const own = process.getuid?.();
  const users = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => usersOf(table, { localPort, remotePort }));
  return users.some((user) => user !== own && user !== 0);
}

/** Reads the users of the far ends of a connection from a table of the kernel. */
function usersOf(table: string, { localPort, remotePort }: { localPort: number; remotePort: number }): number[] {
  const [near, far] = [localPort, remotePort].map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`);
  try {
    return readFileSync(table, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = '', remote = '']) => local.endsWith(far ?? '') && remote.endsWith(near ?? ''))
      .map((fields) => Number(fields[7]));
  } catch {
    return [];
  }
}
