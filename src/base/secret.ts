/** The symbol that `util.inspect` looks for. Its name is public, so `node:util` need not be loaded. */
const inspectCustom = Symbol.for('nodejs.util.inspect.custom');

/**
 * A value that must not be shown: a token, a client secret, a code, a key in text form.
 *
 * It prints, inspects and serialises as `[secret]`. Only `reveal()` returns the plaintext, so a search for `reveal(`
 * lists every place from which plaintext can leave.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    if (value.length === 0) throw new RangeError('a secret is never empty');
    this.#value = value;
  }

  /** Returns the plaintext. Each call needs a reason that a reviewer can see. */
  reveal(): string {
    return this.#value;
  }

  /** Returns `[secret]`. */
  toString(): string {
    return '[secret]';
  }

  /** Returns `[secret]`. */
  toJSON(): string {
    return '[secret]';
  }

  /** Returns `[secret]`. */
  [Symbol.toPrimitive](): string {
    return '[secret]';
  }

  /** Returns `[secret]`. */
  [inspectCustom](): string {
    return '[secret]';
  }
}
