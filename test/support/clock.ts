/**
 * A running clock that a test can move ahead: sleepers whose time has come wake at once. A test of an event after 30
 * seconds moves the clock and does not wait.
 */
export class TestClock {
  #aheadMs = 0;
  readonly #sleepers = new Set<Sleeper>();

  /** Returns milliseconds since 1970. */
  now(): number {
    return Math.floor(Date.now() + this.#aheadMs);
  }

  monotonic(): number {
    return performance.now() + this.#aheadMs;
  }

  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** Resolves after this time by this clock; rejects when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const sleeper: Sleeper = {
        dueAt: this.monotonic() + ms,
        timer: undefined,
        wake: () => {
          this.#end(sleeper);
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      const abort = (): void => {
        this.#end(sleeper);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#sleepers.add(sleeper);
      this.#arm(sleeper);
    });
  }

  /** Moves the clock and wakes the due sleepers in order. */
  jump(ms: number): void {
    this.#aheadMs += ms;
    const due = [...this.#sleepers].sort((one, other) => one.dueAt - other.dueAt);
    for (const sleeper of due) {
      if (sleeper.dueAt <= this.monotonic()) sleeper.wake();
      else this.#arm(sleeper);
    }
  }

  #arm(sleeper: Sleeper): void {
    clearTimeout(sleeper.timer);
    sleeper.timer = setTimeout(sleeper.wake, Math.max(0, sleeper.dueAt - this.monotonic()));
  }

  #end(sleeper: Sleeper): void {
    clearTimeout(sleeper.timer);
    this.#sleepers.delete(sleeper);
  }
}

interface Sleeper {
  readonly dueAt: number;
  timer: NodeJS.Timeout | undefined;
  readonly wake: () => void;
}
