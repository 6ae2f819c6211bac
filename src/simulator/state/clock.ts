/**
 * Time of the simulator: a running source, and an offset that a test or a person moves.
 *
 * Use it to skip time: tokens and codes expire, windows close.
 */
export class SimulatorClock {
  readonly #source: () => number;
  #offsetMs = 0;

  constructor(source: () => number) {
    this.#source = source;
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#source() + this.#offsetMs;
  }

  /** Returns how far the clock is ahead of its source, in milliseconds. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Moves the clock; a negative number moves it back. */
  advance(ms: number): void {
    this.#offsetMs += ms;
  }
}
