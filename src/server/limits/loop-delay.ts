import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The timer by which the event loop is measured. */
const resolutionMs = 20;

/** Measures how far the event loop is behind. */
export interface LoopDelay extends Disposable {
  /** The average since it was last read, in milliseconds. */
  read(): number;
}

export function measureLoop(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  return {
    read: () => {
      const meanMs = histogram.mean / 1e6 - resolutionMs;
      histogram.reset();
      // Without a single measurement there is no mean.
      return Number.isFinite(meanMs) ? Math.max(0, meanMs) : 0;
    },
    [Symbol.dispose]: () => void histogram.disable(),
  };
}
