import { hostname } from 'node:os';
import { isRunning, processSeen, thisProcess } from '../../base/processes.ts';
import type { World } from '../../base/world.ts';

/** Who holds leases and writes spool files: one per opened vault. */
export interface Owner {
  /** `host:pid:nonce`, and `:place:start` where the system tells: which processes can see it, and when it began. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
}

/** The owners of this process. Inside containers every process may have the same number, so the number proves nothing. */
const ownersHere = new Set<string>();

/** Owners of this process whose vaults were closed; as many as tests open, and no more. */
const retiredHere = new Set<string>();
const retiredMax = 1_000;

/** Makes an owner for a vault that opens. */
export function registerOwner(world: World): Owner {
  const nonce = Buffer.from(world.randomBytes(6)).toString('hex');
  const { place, start } = thisProcess();
  const birth = start === '' ? '' : `:${place}:${start}`;
  const owner = { id: `${hostname()}:${process.pid}:${nonce}${birth}`, host: hostname(), pid: process.pid };
  ownersHere.add(owner.id);
  // The same dice throw the same names again, and this one lives.
  retiredHere.delete(owner.id);
  return owner;
}

/** The owner's vault was closed: what it left behind is everybody's now. */
export function retireOwner(owner: Owner): void {
  ownersHere.delete(owner.id);
  retiredHere.add(owner.id);
  const [oldest] = retiredHere;
  if (retiredHere.size > retiredMax && oldest !== undefined) retiredHere.delete(oldest);
}

/** True while the process that an owner belongs to may still act. Unknown hosts may: only time tells. */
export function mayBeAlive(owner: Owner): boolean {
  if (owner.host !== hostname()) return true;
  if (owner.pid === process.pid) return ownersHere.has(owner.id);
  return isRunning(owner.pid);
}

/**
 * True when the process that an owner belongs to has certainly ended: it ran where this process can see all others, and
 * is gone, or its number belongs to a later one. In doubt, and wherever the system does not tell, false.
 */
export function isKnownDead(ownerId: string): boolean {
  if (retiredHere.has(ownerId)) return true;
  const [, pidText, , place, start] = ownerId.split(':');
  const pid = Number(pidText);
  if (start === undefined || place !== thisProcess().place || !Number.isSafeInteger(pid)) return false;
  // In one process there may be several copies of this module, each with owners of its own.
  if (pid === process.pid) return start !== thisProcess().start;
  if (!isRunning(pid)) return true;
  const seen = processSeen(pid);
  // Killed, and its parent has not asked for its end; or another process under the same number.
  return seen !== undefined && (seen.state === 'Z' || seen.state === 'X' || seen.start !== start);
}
