/** As much of a process as the judge needs. */
export interface Sender {
  readonly diedAt: number;
}

/** One refresh token, from the moment the provider made it. */
export interface KnownToken {
  readonly value: string;
  readonly family: string;
  readonly issuedAt: number;
  /** When the request was sent that made it. */
  readonly sentAt: number;
  /** The process that sent it. */
  readonly sender: Sender | null;
  /** It was never presented to the provider. */
  isUnspent: boolean;
  /** It came for this one. */
  readonly parent: string | null;
  /** It arrived at a process of ours that lived. */
  delivered: boolean;
  /** When it first did. */
  deliveredAt: number;
  /** The attempt whose answer brought it, as far as that is known. */
  attemptId: string | null;
  /** Its answer reached no process that could keep it. */
  lost: boolean;
  /** It arrived, and the only process that knew it died. */
  vanished: boolean;
  /** It was seen in a row or among the candidates. */
  stored: boolean;
}

/** The last token that the provider made for a consent and that was never presented. */
export function newestUnspent(tokens: readonly KnownToken[], family: string | null): KnownToken | undefined {
  return tokens.findLast((token) => token.family === family && token.isUnspent);
}

/**
 * Tells whether the newest token was asked for before one of its siblings and made after it, and whether that could have
 * been prevented. The second sender must wait while the first may still be sending: until the first is dead for a part of
 * its lease, or until its lease is over.
 */
export function overtaken(
  tokens: readonly KnownToken[],
  family: string | null,
  leaseMs: number,
): 'no' | 'unavoidable' | 'too early' {
  const newest = newestUnspent(tokens, family);
  if (newest === undefined || newest.parent === null) return 'no';
  const siblings = tokens.filter(
    ({ parent, sentAt, issuedAt }) => parent === newest.parent && sentAt > newest.sentAt && issuedAt < newest.issuedAt,
  );
  if (siblings.length === 0) return 'no';
  const diedAt = newest.sender?.diedAt ?? Number.POSITIVE_INFINITY;
  const early = siblings.every(({ sentAt }) => sentAt > diedAt && sentAt < diedAt + leaseMs);
  return early ? 'too early' : 'unavoidable';
}
