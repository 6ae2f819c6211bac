/** One refresh token, from the moment the provider made it. */
export interface KnownToken {
  readonly value: string;
  readonly family: string;
  readonly issuedAt: number;
  /** When the request was sent that made it. */
  readonly sentAt: number;
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

/** The newest token was asked for before one of its siblings and made after it. */
export function wasOvertaken(tokens: readonly KnownToken[], family: string | null): boolean {
  const newest = newestUnspent(tokens, family);
  if (newest === undefined || newest.parent === null) return false;
  const siblings = tokens.filter(({ parent }) => parent === newest.parent);
  return siblings.some(({ sentAt, issuedAt }) => sentAt > newest.sentAt && issuedAt < newest.issuedAt);
}
