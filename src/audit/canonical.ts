import { invalidRequest } from '../base/errors.ts';

/** Data that canonical JSON can hold here: whole numbers only, and no member without a value. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [name: string]: Plain };

/** Deeper data is refused, and so is data that contains itself. */
const depthMax = 64;

/** Printable ASCII that JSON writes as it is: nearly every text of an entry. */
const written = /^[ !#-[\]-~]*$/;

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
  // A view of the members: the type `object` names none.
  const data = value as Readonly<Record<string, unknown>>;
  const layout = layoutOf(Object.keys(data), depth);
  let out = '';
  for (const { key, opening } of layout.members) out += opening + write(data[key], depth);
  return out === '' ? '{}' : `${out}}`;
}

/** The order in which an object's members are written. */
interface Layout {
  /** The names as the object lists them. */
  readonly keys: readonly string[];
  /** The names as they are written, each with what stands before its value. */
  readonly members: readonly { readonly key: string; readonly opening: string }[];
}

/** The last layout at each depth and number of members: entries are alike, and sorting costs more than a comparison. */
const layouts = new Map<number, Layout>();
const remembersMembersMax = 32;

function layoutOf(keys: readonly string[], depth: number): Layout {
  const place = depth * (remembersMembersMax + 1) + keys.length;
  const last = layouts.get(place);
  if (last?.keys.length === keys.length && last.keys.every((key, index) => key === keys[index])) return last;
  // The default order of `sort` is that of UTF-16 code units.
  const ordered = keys.toSorted().map((key, index) => ({ key, opening: `${index === 0 ? '{' : ','}${text(key)}:` }));
  const made: Layout = { keys, members: ordered };
  if (keys.length <= remembersMembersMax) layouts.set(place, made);
  return made;
}

function refused(what: string): Error {
  return invalidRequest(`Canonical JSON cannot hold ${what}.`);
}
