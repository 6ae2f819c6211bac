import type { Family } from './families.ts';
import type { Ledger } from './ledger.ts';
import { fingerprintOf } from './tokens.ts';

/** Consent to create without a browser. */
export interface Consent {
  /** Server to use; defaults to `zoho`. */
  readonly profile?: string | undefined;
  readonly clientId: string;
  readonly user: string;
  readonly scopes: readonly string[];
  /** The id of the organisation that the user picks; the first one when left out. */
  readonly organization?: string | undefined;
}

/** Tokens that were created without a browser. */
export interface MintedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Milliseconds since 1970, simulator time. */
  readonly expiresAt: number;
  readonly family: string;
}

/** A grant's state at the provider: one consent and the tokens derived from it. */
export interface FamilyView {
  readonly id: string;
  readonly profile: string;
  readonly dc: string | null;
  readonly clientId: string;
  readonly user: string;
  /** The organisation that was picked; `null` for the user's first one. */
  readonly organization: string | null;
  readonly scopes: readonly string[];
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** Set when the provider would accept one of its refresh tokens now. */
  readonly alive: boolean;
  /** Reason why the whole family is dead; `null` while it is not revoked. */
  readonly revoked: string | null;
  /** Fingerprint of the newest refresh token that would be accepted. */
  readonly current: string | null;
  /** Number of refresh tokens that would be accepted. */
  readonly living: number;
  readonly refreshTokensMade: number;
}

/** Creates the view of a family. */
export function viewOf(ledger: Ledger, family: Family, now: number): FamilyView {
  const current = ledger.currentOf(family, now);
  const { refreshTokens, accessTokens: _, ...facts } = family;
  return {
    ...facts,
    scopes: [...facts.scopes],
    alive: current !== null,
    current: current === null ? null : fingerprintOf(current.value),
    living: refreshTokens.filter((token) => ledger.isAlive(token.value, now)).length,
    refreshTokensMade: refreshTokens.length,
  };
}
