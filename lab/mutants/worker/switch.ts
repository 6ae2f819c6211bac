/**
 * The switch that a file with mutants asks. Each process has one, so that a test runs with any mutant without another
 * import. Outside of the mutants' copy of the tree no file imports it.
 */

/**
 * When a mutant makes a difference, seen from the value without it. The last two compare with the mutant's own value,
 * which is computed only where nothing but a value comes of it.
 */
export type Difference = 'always' | 'if truthy' | 'if falsy' | 'if other' | 'if turned';

export type Watch = readonly [id: number, when: Difference, mutated?: () => unknown];

export class MutantSwitch {
  /** The mutant that is in effect; 0 is none. */
  active = Number(process.env['GRANTRY_MUTANT'] ?? 0);
  /** The mutants that would have made a difference, while a test or a world is measured. */
  seen: Set<number> | null = null;

  /** Passes on what a place has without a mutant. */
  note<Value>(value: Value, watches: readonly Watch[]): Value {
    const { seen } = this;
    if (seen === null) return value;
    for (const watch of watches) {
      if (!seen.has(watch[0]) && differs(value, watch)) seen.add(watch[0]);
    }
    return value;
  }

  /** Returns true if a statement runs that the mutant `id` takes out. */
  keeps(id: number): boolean {
    this.seen?.add(id);
    return this.active !== id;
  }
}

function differs(value: unknown, [, when, mutated]: Watch): boolean {
  if (when === 'if truthy') return Boolean(value);
  if (when === 'if falsy') return !value;
  if (mutated === undefined) return true;
  try {
    const other = mutated();
    return when === 'if turned' ? Boolean(other) !== Boolean(value) : !Object.is(other, value);
  } catch {
    return true;
  }
}

declare global {
  var grantryMutants: MutantSwitch | undefined;
}

/** One per process, although a test runner may load this file several times. */
export const mutants$ = (globalThis.grantryMutants ??= new MutantSwitch());
