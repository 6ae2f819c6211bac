const everyMs = 10;

/** Measures how late this process gets its turn: a machine with too much to do stalls it, and scaled times do not allow for that. */
export class StallWatch implements Disposable {
  longestMs = 0;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.longestMs = Math.max(this.longestMs, now - last - everyMs);
      last = now;
    }, everyMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
