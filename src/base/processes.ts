import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Whether a process of this number exists, as far as this process can see others. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

let known: { readonly place: string; readonly start: string } | undefined;

/**
 * Where this process runs and when it began; both empty where the system does not tell.
 *
 * Processes of one place share their numbers and see each other's ends.
 */
export function thisProcess(): { readonly place: string; readonly start: string } {
  if (known === undefined) {
    const place = placeHere();
    const start = place === '' ? undefined : processSeen(process.pid)?.start;
    known = start === undefined ? { place: '', start: '' } : { place, start };
  }
  return known;
}

/** Names the boot and the process namespace; empty where Linux does not tell, or `/proc` shows another namespace. */
function placeHere(): string {
  try {
    if (readlinkSync('/proc/self') !== String(process.pid)) return '';
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const namespace = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${hostname()} ${boot} ${namespace}`).digest('hex').slice(0, 16);
  } catch {
    return '';
  }
}

/** A process as `/proc` shows it: its state, and when it began, in ticks since the boot. */
export function processSeen(pid: number): { state: string; start: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name stands in parentheses and may hold any character.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const start = fields[18];
    return state === undefined || start === undefined ? undefined : { state, start };
  } catch {
    return undefined;
  }
}
