/**
 * The simulator's time: a source that goes on by itself, and an offset that a test or a person moves.
 *
 * Use it to let an hour pass in no time: tokens expire, windows close, codes grow old.
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

  /** How far the clock was moved ahead of its source, in milliseconds. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Moves the clock; a negative number moves it back. */
  advance(ms: number): void {
    this.#offsetMs += ms;
  }
}
