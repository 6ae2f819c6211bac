import { invalidRequest } from '../base/errors.ts';

/** Data that canonical JSON can hold here: whole numbers only, and no member without a value. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [name: string]: Plain };

/** Deeper data is refused, and so is data that contains itself. */
const depthMax = 64;

/** Printable ASCII that JSON writes as it is: nearly every text of an entry. */
const written = /^[ !#-[\]-~]*$/;

/** Member names come from the program, so they are few. The limit protects against names that come from data. */
const namesMax = 4096;
const names = new Map<string, string>();

/**
 * Writes data as canonical JSON (RFC 8785): no spaces, members sorted by UTF-16 code units (§3.2.3), texts and numbers as
 * ECMAScript writes them (§3.2.2). Equal data has one text, so its hash can be compared.
 *
 * It writes whole numbers up to 2^53 only. RFC 8785 also allows fractions, which an audit entry does not need.
 *
 * @throws {GrantryError} `invalid_request` for a fraction, NaN, a lone surrogate, `undefined`, a class instance, a cycle
 */
export function canonicalJson(value: Plain): string {
  return write(value, 0);
}

// The parameter is `unknown` because data at run time may hold what its type forbids.
function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'number':
      if (!Number.isSafeInteger(value)) throw refused('a number that is not whole, or beyond 2^53');
      // Minus zero becomes 0, as in ECMAScript.
      return String(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth >= depthMax) throw refused(`data nested deeper than ${depthMax}`);
      return Array.isArray(value) ? list(value, depth + 1) : members(value, depth + 1);
    default:
      throw refused(`a value of type ${typeof value}`);
  }
}

function text(value: string): string {
  if (written.test(value)) return `"${value}"`;
  if (!value.isWellFormed()) throw refused('half of a surrogate pair');
  return JSON.stringify(value);
}

function list(values: readonly unknown[], depth: number): string {
  let out = '[';
  // By index, so that a hole in the list is met as `undefined`.
  for (let index = 0; index < values.length; index += 1) {
    if (index > 0) out += ',';
    out += write(values[index], depth);
  }
  return `${out}]`;
}

function members(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw refused('an instance of a class');
  const entries: Record<string, unknown> = { ...value };
  const keys = sorted(Object.keys(entries));
  let out = '{';
  for (const key of keys) {
    if (out.length > 1) out += ',';
    out += name(key) + write(entries[key], depth);
  }
  return `${out}}`;
}

/** Sorts by UTF-16 code units, as `<` compares. Entries are mostly sorted already, so insertion is fast. */
function sorted(keys: string[]): string[] {
  if (keys.length > 32) return keys.sort();
  for (let index = 1; index < keys.length; index += 1) {
    const key = keys[index] ?? '';
    let place = index;
    for (let before = keys[place - 1]; before !== undefined && before > key; before = keys[place - 1]) {
      keys[place] = before;
      place -= 1;
    }
    keys[place] = key;
  }
  return keys;
}

function name(key: string): string {
  const known = names.get(key);
  if (known !== undefined) return known;
  const made = `${text(key)}:`;
  if (names.size < namesMax) names.set(key, made);
  return made;
}

function refused(what: string): Error {
  return invalidRequest(`Canonical JSON cannot hold ${what}.`);
}
