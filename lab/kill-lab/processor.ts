import { readFileSync } from 'node:fs';

/**
 * Returns how long a process's main thread has waited for a processor since its start, in milliseconds; undefined where
 * the system does not tell.
 */
export function waitedForProcessorMs(pid: number): number | undefined {
  try {
    const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ');
    const ms = Number(waitedNs) / 1_000_000;
    return Number.isFinite(ms) ? ms : undefined;
  } catch {
    return undefined;
  }
}
