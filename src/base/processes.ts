import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemCodeOf } from './system-error.ts';

/** Tells whether a process with this number exists, as far as this process can see others. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process lives and belongs to another user.
    return systemCodeOf(error) === 'EPERM';
  }
}

let known: { readonly place: string; readonly start: string } | undefined;

/**
 * Identifies this process: the place it runs in and its start; both empty where the system does not tell.
 *
 * Processes in one place share their process numbers and see each other end.
 */
export function thisProcess(): { readonly place: string; readonly start: string } {
  if (known === undefined) {
    const place = placeHere();
    const start = place === '' ? undefined : processSeen(process.pid)?.start;
    known = start === undefined ? { place: '', start: '' } : { place, start };
  }
  return known;
}

/** Identifies the boot and the process namespace; empty without Linux, or when `/proc` shows another namespace. */
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

/** Reads a process from `/proc`: its state, and its start in ticks since the boot. */
export function processSeen(pid: number): { state: string; start: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name stands in parentheses and may contain any character.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const start = fields[18];
    return state === undefined || start === undefined ? undefined : { state, start };
  } catch {
    return undefined;
  }
}
