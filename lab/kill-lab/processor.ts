import { readFileSync } from 'node:fs';

/**
 * For how long a process, by its main thread, has been ready to go on and waited for a processor, in milliseconds since
 * it began. Undefined where the system does not tell.
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
