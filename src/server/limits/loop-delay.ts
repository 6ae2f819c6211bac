import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The interval of the timer that measures the event loop. */
const resolutionMs = 20;

/** Measures the delay of the event loop. */
export interface LoopDelay extends Disposable {
  /** Returns the average delay since the last call, in milliseconds. */
  read(): number;
}

export function measureLoop(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  return {
    read: () => {
      const meanMs = histogram.mean / 1e6 - resolutionMs;
      histogram.reset();
      // Without a measurement the mean is NaN.
      return Number.isFinite(meanMs) ? Math.max(0, meanMs) : 0;
    },
    [Symbol.dispose]: () => void histogram.disable(),
  };
}
