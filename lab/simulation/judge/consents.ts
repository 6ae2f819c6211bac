/** A consent of a user: its tokens must end up in the row, unless something newer does. */
export interface Consent {
  /** When a process began to redeem its code. */
  readonly begunAt: number;
  /** When the code was sent: the vault noted a time between the two. */
  readonly sentAt: number;
  /** When its tokens came to a process that lived; null if they never did. */
  arrivedAt: number | null;
  saved: boolean;
}

/** The decisions about a grant that a user or a program made. */
export interface Decisions {
  /** Consents that brought a refresh token, by its family. */
  readonly consents: Map<string, Consent>;
  /** Families that a program hands in, until the row first shows them. */
  readonly handedIn: Set<string>;
  /** The last moment of a consent, of stored tokens or of a disconnect that the row shows or has shown. */
  decidedAt: number;
  /** When the last of them was committed. */
  committedAt: number;
}

/** Errors of a world's clocks, which may turn the order of two times round. */
export interface Clocks {
  /** Clocks differ by so much at most, unless one jumps wildly. */
  readonly slackMs: number;
  /** When one did; minus infinity if none has. */
  jumpedWildlyAt: number;
}

/** Tells whether one consent came before another, by every clock or only by the true one. */
export function orderOf(one: Consent, other: Consent, clocks: Clocks): 'before' | 'clocks differ' | 'not before' {
  if (one.sentAt >= other.begunAt) return 'not before';
  const isClear = one.sentAt + clocks.slackMs < other.begunAt && clocks.jumpedWildlyAt < one.begunAt;
  return isClear ? 'before' : 'clocks differ';
}

/** Consents whose tokens came and are in no row. */
export function unsaved({ consents }: Decisions): Consent[] {
  return [...consents.values()].filter(({ arrivedAt, saved }) => arrivedAt !== null && !saved);
}

/** True if a newer consent, tokens or a disconnect took the place of a consent. Clocks matter only between two at once. */
export function isSuperseded(
  { decidedAt, committedAt }: Decisions,
  { begunAt }: Consent,
  { slackMs }: Clocks,
): boolean {
  return decidedAt >= begunAt || (committedAt >= begunAt && decidedAt + slackMs >= begunAt);
}
