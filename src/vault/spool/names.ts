/**
 * The kind of a spool file, which its name ends with.
 *
 * - `waiting`: room reserved for the answer of a refresh under way.
 * - `answer`: an answer that the database does not have yet.
 * - `refused`: an answer that the database refuses to save, set aside for its grant.
 * - `unread`: an answer that may hold tokens and was not understood.
 * - `saved`: an answer that the database has.
 */
export type SpoolKind = 'waiting' | 'answer' | 'refused' | 'unread' | 'saved';

const kinds: ReadonlySet<string> = new Set<SpoolKind>(['waiting', 'answer', 'refused', 'unread', 'saved']);

/** The kinds of a file with an answer. */
export const spoolAnswers: readonly SpoolKind[] = ['answer', 'refused', 'unread', 'saved'];

/** A parsed file name: `GRANT.ATTEMPT.KIND`, or `GRANT.ATTEMPT.mMINUTE.KIND` for kinds that are kept for a time. */
export interface SpoolName {
  /** The grant's id and the attempt's id with a dot between. */
  readonly stem: string;
  readonly grantId: string;
  /** The minute since 1970 in which the file got its kind. Null in the names of earlier versions. */
  readonly minute: number | null;
  readonly kind: SpoolKind;
}

/** Committed answers lie in so many folders, so that a search for one grant reads few other names. */
const shardCount = 16;

/** Names of the folders of committed answers, relative to the spool. */
export const shards: readonly string[] = Array.from({ length: shardCount }, (_, index) => `saved/${index}`);

/** Returns the folder for the committed answers of a grant. */
export function shardOf(grantId: string): string {
  let hash = 0;
  for (const character of grantId) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return shards[hash % shardCount] ?? '';
}

/** Parses a name. Returns undefined for files that are not the spool's own, which it leaves alone. */
export function parseName(name: string): SpoolName | undefined {
  const parts = name.split('.');
  const kind = parts.pop();
  if (kind === undefined || !isKind(kind) || parts.length === 0) return undefined;
  const stamp = parts.length > 1 && /^m\d{1,12}$/.test(parts.at(-1) ?? '') ? parts.pop() : undefined;
  const minute = stamp === undefined ? null : Number(stamp.slice(1));
  return { stem: parts.join('.'), grantId: parts[0] ?? '', minute, kind };
}

/** Builds the name of a file that gets this kind now. */
export function nameFor(stem: string, kind: SpoolKind, now: number): string {
  const isKeptForATime = kind === 'saved' || kind === 'unread';
  return isKeptForATime ? `${stem}.m${minuteOf(now)}.${kind}` : `${stem}.${kind}`;
}

/** Returns the minute since 1970. */
export function minuteOf(ms: number): number {
  return Math.floor(ms / 60_000);
}

/** Filters by the grant's id, the first part of a name, so that a search for one grant opens no other grant's files. */
export function mayBelongTo({ grantId: named }: SpoolName, grantId: string | undefined): boolean {
  return grantId === undefined || named === grantId || named.length !== grantId.length;
}

function isKind(text: string): text is SpoolKind {
  return kinds.has(text);
}
