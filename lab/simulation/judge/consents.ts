import type { JudgedGrant } from './judged-grant.ts';

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
export function unsaved({ consents }: JudgedGrant): Consent[] {
  return [...consents.values()].filter(({ arrivedAt, saved }) => arrivedAt !== null && !saved);
}

/** True if a newer consent, tokens or a disconnect took the place of a consent. Clocks matter only between two at once. */
export function isSuperseded(
  { decidedAt, committedAt }: JudgedGrant,
  { begunAt }: Consent,
  { slackMs }: Clocks,
): boolean {
  return decidedAt >= begunAt || (committedAt >= begunAt && decidedAt + slackMs >= begunAt);
}
