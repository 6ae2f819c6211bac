/** Prints the steps of the demo, one line each: the proof, or the expected and the seen value. */

const nameWidth = 13;
const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

/** A step did not prove its claim. */
export class NotProven extends Error {
  readonly expected: string;
  readonly seen: string;

  constructor(what: string, expected: string, seen: string) {
    super(what);
    this.expected = expected;
    this.seen = seen;
  }
}

/** Continues when the two values are equal; otherwise it prints them, so never pass a token or a secret. */
export function same(what: string, seen: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(seen), JSON.stringify(expected)];
  if (left !== right) throw new NotProven(what, right ?? 'nothing', left ?? 'nothing');
}

/** Continues when a condition holds; for values that must not be printed. */
export function isSo(what: string, condition: boolean): void {
  if (!condition) throw new NotProven(what, 'true', 'false');
}

export class Report {
  readonly #started = performance.now();
  #proven = 0;
  #silent = false;

  /** Runs one step and prints its line. @throws errors of the step */
  async step(name: string, run: () => Promise<string | readonly string[]>): Promise<void> {
    try {
      const [line = '', ...more] = [await run()].flat();
      this.#proven += 1;
      print(paint('32', '✓'), name, line);
      for (const each of more) process.stdout.write(`${' '.repeat(nameWidth + 3)}${each}\n`);
    } catch (error) {
      if (this.#silent) throw error;
      print(paint('31', '✗'), name, error instanceof Error ? error.message : String(error));
      if (error instanceof NotProven) {
        process.stdout.write(`${' '.repeat(nameWidth + 3)}expected: ${error.expected}\n`);
        process.stdout.write(`${' '.repeat(nameWidth + 3)}seen:     ${error.seen}\n`);
      }
      throw error;
    }
  }

  /** Stops printing: the demo is ending, and later failures mean nothing. */
  silence(): void {
    this.#silent = true;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** Returns the last line of a successful demo. */
  summary(): string {
    return `${paint('1', `${this.#proven} steps proven`)} in ${seconds(performance.now() - this.#started)}.`;
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function print(mark: string, name: string, text: string): void {
  process.stdout.write(`${mark} ${paint('1', name.padEnd(nameWidth))} ${text}\n`);
}

function paint(code: string, text: string): string {
  return colour ? `\u001b[${code}m${text}\u001b[0m` : text;
}
