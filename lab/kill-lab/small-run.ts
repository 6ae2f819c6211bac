import type { LabOptions } from './options.ts';

/** The options of a run that is small enough for a test. */
export function smallRun(parts: Pick<LabOptions, 'rotation' | 'database' | 'kills' | 'seed'>): LabOptions {
  return {
    ...parts,
    // Strict leases last two minutes; the overlap of the others must outlast a slow machine.
    scale: parts.rotation.startsWith('strict') ? 0.04 : 0.5,
    workers: 3,
    grants: 60,
    delayMs: [20, 500],
    pauseShare: 0.1,
    minutesMax: 8,
    onProgress: () => {},
  };
}
