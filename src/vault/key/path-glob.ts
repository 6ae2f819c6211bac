import { invalidRequest } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';

/**
 * A pattern of the paths that an API key may call.
 *
 * A pattern is written as the path is, without percent-encoding and without a query: `/crm/v8/Leads`. A segment is the text
 * between two slashes. `*` stands for any characters of one segment, and alone for one segment that is not empty. `**` is
 * a whole segment: it stands for any number of segments, and at the end for at least one. Case counts, and so does a slash
 * at the end.
 *
 * Such a pattern holds for the host that the grant's calls usually go to. `https://desk.zoho.eu/api/v1/**` holds for calls
 * that name that other host of the provider.
 */
export interface PathGlob {
  readonly text: string;
  /** The host that the call must name; null for the usual one, which it must not name. */
  readonly host: string | null;
  readonly segments: readonly string[];
}

/** Any number of segments. */
const deep = '**';

/** A letter, a digit or one of `- . _ ~` in percent-encoding: no client needs it, and not every server decodes it. */
const needlesslyEncoded = /%(?:2[de]|3\d|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/i;

/** @throws {GrantryError} `invalid_request` for a text that is no pattern */
export function parsePathGlob(text: unknown): PathGlob {
  if (typeof text !== 'string' || text.length > limits.apiKeyPathCharsMax) {
    throw invalidRequest(`A path of a key must be a text of at most ${limits.apiKeyPathCharsMax} characters.`);
  }
  const [, host = null, path = ''] = /^(?:https:\/\/([a-z0-9.-]{1,253}(?::\d{1,5})?))?(\/.*)$/s.exec(text) ?? [];
  if (path === '') throw invalidRequest('A path of a key must start with a slash, or with https:// and a host.');
  const segments = path.slice(1).split('/');
  const [odd] = segments.flatMap((segment, index) => oddity(segment, index === segments.length - 1) ?? []);
  if (odd !== undefined) throw invalidRequest(`A path of a key ${odd}.`);
  return { text, host, segments };
}

function oddity(segment: string, isLast: boolean): string | undefined {
  if (segment === '' && !isLast) return 'must not have two slashes side by side';
  if (segment.includes(deep) && segment !== deep) return 'must have ** only as a whole segment';
  if (segment !== deep && isAmbiguous(segment.replaceAll('*', 'x'))) return 'must not contain . or .. or % ? # ; \\';
  return undefined;
}

/**
 * Reads the path of a call as segments, each decoded once. Returns null for a path that two programs may read differently:
 * a key that is held to paths must not send it.
 *
 * @param path as the caller sent it, with its query
 */
export function readCallPath(path: string): readonly string[] | null {
  const bare = path.replace(/\?.*$/s, '');
  if (!/^\/[\x21-\x7e]*$/.test(bare)) return null;
  const segments: string[] = [];
  for (const raw of bare.slice(1).split('/')) {
    const segment = decode(raw);
    if (segment === null || isAmbiguous(segment) || needlesslyEncoded.test(raw)) return null;
    segments.push(segment);
  }
  // Only the last one may be empty: it is what follows a slash at the end.
  return segments.slice(0, -1).includes('') ? null : segments;
}

function decode(raw: string): string | null {
  try {
    return decodeURIComponent(raw);
  } catch {
    return null;
  }
}

/**
 * True for a segment that a server may take for something else: a step upwards, several segments, a segment with
 * parameters, a text that is encoded twice, or the end of the path. Some servers fold wide characters into these.
 */
function isAmbiguous(segment: string): boolean {
  const folded = segment.normalize('NFKC');
  return [segment, folded].some((text) => /^[.\s]*\.[.\s]*$|[\p{C}/\\%?#;]/u.test(text));
}

/** Tells whether a pattern allows a call. Takes time in proportion to pattern times path at most. */
export function allowsPath(glob: PathGlob, host: string | null, segments: readonly string[]): boolean {
  return glob.host === host && matches(glob.segments, segments, { isMany: isDeep, one: matchesSegment, leastAtEnd: 1 });
}

function isDeep(segment: string): boolean {
  return segment === deep;
}

function matchesSegment(pattern: string, segment: string): boolean {
  if (pattern === '*') return segment !== '';
  if (!pattern.includes('*')) return pattern === segment;
  return matches([...pattern], [...segment], { isMany: (part) => part === '*', one: Object.is, leastAtEnd: 0 });
}

interface Rules {
  /** True for a part of the pattern that stands for any number of parts. */
  readonly isMany: (part: string) => boolean;
  readonly one: (part: string, given: string) => boolean;
  /** The parts that such a part stands for at least, where it is the last one. */
  readonly leastAtEnd: number;
}

/** Matches greedily, and goes back to the last part that stands for many: no more is needed, and nothing is exponential. */
function matches(pattern: readonly string[], given: readonly string[], { isMany, one, leastAtEnd }: Rules): boolean {
  const endsMany = isMany(pattern.at(-1) ?? '');
  let at = 0;
  let many: { readonly at: number; until: number } | null = null;
  for (let index = 0; index < given.length; ) {
    const part = pattern[at];
    if (part !== undefined && isMany(part)) {
      if (at === pattern.length - 1) return given.length - index >= leastAtEnd;
      many = { at, until: index };
      at += 1;
    } else if (part !== undefined && one(part, given[index] ?? '')) {
      at += 1;
      index += 1;
    } else if (many !== null) {
      many.until += 1;
      index = many.until;
      at = many.at + 1;
    } else {
      return false;
    }
  }
  while (at < pattern.length && isMany(pattern[at] ?? '')) at += 1;
  return at === pattern.length && !(endsMany && leastAtEnd > 0);
}

/**
 * Tells whether a pattern allows every call that another one allows. False when that cannot be seen from the texts: then
 * the other one counts as wider.
 */
export function covers(wide: PathGlob, narrow: PathGlob): boolean {
  return wide.host === narrow.host && coversFrom(wide.segments, narrow.segments, 0, 0, new Map());
}

function coversFrom(
  wide: readonly string[],
  narrow: readonly string[],
  at: number,
  from: number,
  known: Map<number, boolean>,
): boolean {
  const key = at * (narrow.length + 1) + from;
  const seen = known.get(key);
  if (seen !== undefined) return seen;
  const next = (wideStep: number, narrowStep: number): boolean =>
    coversFrom(wide, narrow, at + wideStep, from + narrowStep, known);
  const [one, other] = [wide[at], narrow[from]];
  let result: boolean;
  if (one === undefined) result = other === undefined;
  else if (one === deep && at === wide.length - 1) result = other !== undefined;
  else if (one === deep) result = next(1, 0) || (other !== undefined && next(0, 1));
  else result = other !== undefined && other !== deep && coversSegment(one, other) && next(1, 1);
  known.set(key, result);
  return result;
}

/** A star of the narrow segment is read as a character that only a star of the wide one matches. */
function coversSegment(wide: string, narrow: string): boolean {
  if (wide === narrow) return true;
  if (wide === '*') return /[^*]/.test(narrow);
  return matchesSegment(wide, narrow.replaceAll('*', '\u{10ffff}'));
}
