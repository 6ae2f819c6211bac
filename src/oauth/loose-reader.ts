import { longNumber } from '../base/exact-json.ts';
import { skipBlank } from './json.ts';

/** A text member of an object at any depth. */
export interface LooseMember {
  readonly name: string;
  readonly value: string;
  /** The number of objects around it: 1 is the top level. 0 if only the member itself could be recognised. */
  readonly depth: number;
  /** The index of the quote before its name. */
  readonly at: number;
}

/** An object that stands at the top level of the text, read as far as it goes. */
export interface LooseObject {
  /** The members. One that was repeated with another value has {@link conflicting} as its value. */
  readonly members: Map<string, unknown>;
  /** True if its end was seen. */
  ended: boolean;
}

/** The readable parts of a text that should be one JSON object and is not. */
export interface LooseText {
  readonly objects: readonly LooseObject[];
  /** Every member with a text under one of the names that were asked for. */
  readonly found: readonly LooseMember[];
  /** The text around the objects. */
  readonly outside: string;
  /** False if quotes or brackets do not match up, so that a depth may be wrong. Only a missing end leaves it true. */
  readonly sound: boolean;
  /** False if brackets, names or commas do not match up: quotes that are not escaped leave it true. */
  readonly balanced: boolean;
}

/** Value of a member that is repeated with different values. */
export const conflicting = Symbol('repeated with different values');

/** Bounds on what a hostile text can make this reader hold. No token is lost by them: `found` ignores both. */
const [depthKept, objectsKept, itemsKept] = [8, 64, 512];

interface Open {
  /** The members of an object; null for an array. */
  readonly members: Map<string, unknown> | null;
  readonly items: unknown[];
  /** The name whose value comes next. */
  name: string | null;
  nameAt: number;
  /** True behind a value, where a comma must come. */
  isFull: boolean;
}

/** Reads a text from its start, object by object. */
export class LooseReader {
  readonly objects: LooseObject[] = [];
  readonly found: LooseMember[] = [];
  readonly outside: string[] = [];
  sound = true;
  balanced = true;
  readonly #text: string;
  readonly #names: readonly string[];
  readonly #open: Open[] = [];
  #depth = 0;
  #at = 0;

  constructor(text: string, names: readonly string[]) {
    this.#text = text;
    this.#names = names;
  }

  read(): void {
    while (this.#at < this.#text.length) {
      const top = this.#open.at(-1);
      if (top === undefined) this.#skipToObject();
      else this.#step(top);
    }
  }

  /** Outside of any object, only the start of one is of interest: quotes mean nothing there. */
  #skipToObject(): void {
    const start = this.#text.indexOf('{', this.#at);
    this.outside.push(this.#text.slice(this.#at, start === -1 ? undefined : start));
    this.#at = start === -1 ? this.#text.length : start + 1;
    if (start === -1 || this.#text[skipBlank(this.#text, start + 1)] !== '"') return;
    const opened = this.#push(new Map());
    if (this.objects.length < objectsKept) this.objects.push({ members: opened, ended: false });
    else this.sound = false;
  }

  #step(top: Open): void {
    const character = this.#text.charAt(this.#at);
    if (character === '"') return this.#readText(top);
    if (!'{}[],: \t\r\n'.includes(character)) return this.#readBare(top);
    this.#at += 1;
    if (character === '{' || character === '[') {
      const value = character === '{' ? new Map<string, unknown>() : [];
      const isKept = this.#open.length < depthKept;
      this.#give(top, isKept ? value : null);
      if (value instanceof Map) this.#push(value);
      else this.#open.push({ members: null, items: value, name: null, nameAt: 0, isFull: false });
    } else if (character === '}') {
      this.#closeObject();
    } else if (character === ',') {
      top.name = null;
      top.isFull = false;
    } else if (character === ']') {
      if (top.members === null) this.#open.pop();
      else this.balanced = false;
    }
  }

  #push(members: Map<string, unknown>): Map<string, unknown> {
    this.#open.push({ members, items: [], name: null, nameAt: 0, isFull: false });
    this.#depth += 1;
    return members;
  }

  #closeObject(): void {
    while (this.#open.at(-1)?.members === null) {
      this.balanced = false;
      this.#open.pop();
    }
    this.#open.pop();
    this.#depth -= 1;
    const last = this.objects.at(-1);
    if (this.#open.length > 0 || last === undefined) return;
    last.ended = true;
    if (this.#text[skipBlank(this.#text, this.#at)] === '}') this.balanced = false;
  }

  #readText(top: Open): void {
    const isName = top.members !== null && top.name === null;
    const start = this.#at;
    const end = this.#endOfText(start, isName ? ':,}]' : ',}]');
    this.#at = end === -1 ? this.#text.length : end;
    if (end === -1) return;
    const value = unescaped(this.#text.slice(start + 1, end - 1));
    const next = skipBlank(this.#text, end);
    if (!isName) {
      const { name, nameAt: at } = top;
      if (value !== null && name !== null && this.#names.includes(name))
        this.found.push({ name, value, depth: this.#depth, at });
      this.#give(top, value ?? Number.NaN);
    } else if (this.#text[next] === ':') {
      if (top.isFull) this.balanced = false;
      top.name = value;
      top.nameAt = start;
      this.#at = next + 1;
    } else if (next < this.#text.length) {
      this.balanced = false;
    }
  }

  /**
   * Returns the index behind the quote that ends a text. A quote that is followed by anything but one of `closers` was
   * not escaped and belongs to the text.
   */
  #endOfText(start: number, closers: string): number {
    for (let at = start + 1; at < this.#text.length; at += 1) {
      const character = this.#text[at];
      if (character === '\\') at += 1;
      if (character !== '"') continue;
      const next = skipBlank(this.#text, at + 1);
      if (next === this.#text.length || closers.includes(this.#text.charAt(next))) return at + 1;
      this.sound = false;
    }
    return -1;
  }

  /** Reads a number, a literal, or anything else without quotes. If the text ends in one, it may be cut. */
  #readBare(top: Open): void {
    const start = this.#at;
    while (this.#at < this.#text.length && !'{}[]",: \t\r\n'.includes(this.#text.charAt(this.#at))) this.#at += 1;
    // A lifetime that was cut is too short, which harms nothing.
    if (this.#at === this.#text.length && top.name?.startsWith('expires_in') !== true) return;
    this.#give(top, bareValue(this.#text.slice(start, this.#at)));
  }

  #give(top: Open, value: unknown): void {
    const { members, name } = top;
    if (members === null) {
      if (top.items.length < itemsKept) top.items.push(value);
    } else if (name === null) {
      this.balanced = false;
    } else {
      top.isFull = true;
      members.set(name, members.has(name) ? merged(name, members.get(name), value) : value);
      top.name = null;
    }
  }
}

/** Merges the values of a repeated member: the shorter of two lifetimes is safe, and other values cancel each other. */
function merged(name: string, first: unknown, second: unknown): unknown {
  if (Object.is(first, second)) return first;
  if (!name.startsWith('expires_in')) return conflicting;
  const lives = [first, second].filter((each) => typeof each === 'number' || typeof each === 'string').map(Number);
  const some = lives.filter((each) => each > 0);
  return some.length > 0 ? Math.min(...some) : conflicting;
}

/** The value of a text without quotes. NaN stands for one that has no meaning in JSON. */
function bareValue(text: string): unknown {
  if (text === 'null') return null;
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d{1,309}(\.\d{1,99})?([eE][+-]?\d{1,3})?$/.test(text) ? longNumber(Number(text), text) : Number.NaN;
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** Returns the value of a text, without its quotes. Null if it has an escape that JSON does not know: it is not whole then. */
export function unescaped(text: string): string | null {
  if (!text.includes('\\')) return text;
  let isWhole = true;
  const value = text.replaceAll(/\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt])|)/g, (_raw, hex?: string, single?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (single === undefined) isWhole = false;
    return escapes[single ?? ''] ?? single ?? '';
  });
  return isWhole ? value : null;
}
