import { hostname } from 'node:os';
import { isRunning, processSeen, thisProcess } from '../../base/processes.ts';
import type { World } from '../../base/world.ts';

/** Holder of leases and writer of spool files; each opened vault has one. */
export interface Owner {
  /**
   * `host:pid:nonce`, followed by `:place:start` where the system provides them. The place is the namespace in which other
   * processes can see this one; the start is the time at which the process began.
   */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
}

/** Returns the random part of an owner's id. */
export function nonceOf({ id }: Owner): string {
  return id.split(':')[2] ?? '';
}

/** Live owners of this process. In containers, different processes may share a pid, so the pid identifies none. */
const ownersHere = new Set<string>();

/** Owners of this process whose vaults were closed. The bound covers tests that open many vaults. */
const retiredHere = new Set<string>();
const retiredMax = 1_000;

/** Registers the owner of a vault that is being opened. */
export function registerOwner(world: World): Owner {
  const nonce = Buffer.from(world.randomBytes(6)).toString('hex');
  const { place, start } = thisProcess();
  const birth = start === '' ? '' : `:${place}:${start}`;
  const owner = { id: `${hostname()}:${process.pid}:${nonce}${birth}`, host: hostname(), pid: process.pid };
  ownersHere.add(owner.id);
  // A seeded random source can repeat the id of a retired owner, and this owner is alive.
  retiredHere.delete(owner.id);
  return owner;
}

/** Retires the owner of a closed vault, so that any process may take over its leases and spool files. */
export function retireOwner(owner: Owner): void {
  ownersHere.delete(owner.id);
  retiredHere.add(owner.id);
  const [oldest] = retiredHere;
  if (retiredHere.size > retiredMax && oldest !== undefined) retiredHere.delete(oldest);
}

/** Tells whether the owner's process may still act. Always true for other hosts, whose processes cannot be observed. */
export function mayBeAlive(owner: Owner): boolean {
  if (owner.host !== hostname()) return true;
  if (owner.pid === process.pid) return ownersHere.has(owner.id);
  return isRunning(owner.pid);
}

/**
 * Tells whether the owner's process has certainly ended. It must have run where this process can see all others, and be
 * gone or replaced by a later process with the same pid. Returns false in doubt, and where the system gives no start time.
 */
export function isKnownDead(ownerId: string): boolean {
  if (retiredHere.has(ownerId)) return true;
  const [, pidText, , place, start] = ownerId.split(':');
  const pid = Number(pidText);
  if (start === undefined || place !== thisProcess().place || !Number.isSafeInteger(pid)) return false;
  // One process may load several copies of this module, each with its own owners.
  if (pid === process.pid) return start !== thisProcess().start;
  if (!isRunning(pid)) return true;
  const current = processSeen(pid);
  // A killed process that its parent has not reaped, or a later process with the same pid.
  return current !== undefined && (current.state === 'Z' || current.state === 'X' || current.start !== start);
}

/** Tells whether this process can see the owner's process: it then knows when that one ends. */
export function isSeen(ownerId: string): boolean {
  if (ownersHere.has(ownerId)) return true;
  const [, , , place, start] = ownerId.split(':');
  return start !== undefined && place === thisProcess().place;
}

/** Tells whether the owner is certainly alive: it belongs to this process, or runs where this process sees all others. */
export function isKnownAlive(ownerId: string): boolean {
  return isSeen(ownerId) && !isKnownDead(ownerId);
}
