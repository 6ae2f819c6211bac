/** Dice that throw the same numbers for the same seed (sfc32, seeded through splitmix32). */
export class Dice {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    let state = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    [this.#a, this.#b, this.#c, this.#d] = [next(), next(), next(), next()];
    for (let round = 0; round < 12; round += 1) this.word();
  }

  /** 32 bits. */
  word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** From 0 up to but not including 1. */
  fraction(): number {
    return this.word() / 2 ** 32;
  }

  chance(share: number): boolean {
    return share > 0 && this.fraction() < share;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.fraction();
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  /** Small most of the time, large now and then: the length of a pause with this mean. */
  exponential(mean: number): number {
    return -Math.log(1 - this.fraction()) * mean;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.fraction() * from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  /** Picks by weight; the weights are positive and need not add up to anything. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    // Object.entries widens the keys of a record to string.
    const entries = Object.entries(weights) as [T, number][];
    let left = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    throw new Error('no weight is positive');
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index += 1) bytes[index] = this.word() & 0xff;
    return bytes;
  }

  /** Dice of their own for one part of a run, so that its throws do not shift those of another. */
  fork(): Dice {
    return new Dice(this.word());
  }
}
