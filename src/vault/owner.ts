import { hostname } from 'node:os';
import type { World } from '../base/world.ts';

/** Who holds leases and writes spool files: one per opened vault. */
export interface Owner {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
}

/** The owners of this process. Inside containers every process may have the same number, so the number proves nothing. */
const ownersHere = new Set<string>();

/** Makes an owner for a vault that opens. */
export function registerOwner(world: World): Owner {
  const nonce = Buffer.from(world.randomBytes(6)).toString('hex');
  const owner = { id: `${hostname()}:${process.pid}:${nonce}`, host: hostname(), pid: process.pid };
  ownersHere.add(owner.id);
  return owner;
}

/** The owner's vault was closed: what it left behind is everybody's now. */
export function retireOwner(owner: Owner): void {
  ownersHere.delete(owner.id);
}

/** True while the process that an owner belongs to may still act. Unknown hosts may: only time tells. */
export function mayBeAlive(owner: Owner): boolean {
  if (owner.host !== hostname()) return true;
  if (owner.pid === process.pid) return ownersHere.has(owner.id);
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
