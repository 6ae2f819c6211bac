import type { Family } from './families.ts';
import type { Ledger } from './ledger.ts';
import { fingerprintOf } from './tokens.ts';

/** Whose consent to make without a browser. */
export interface Consent {
  /** `zoho` when left out. */
  readonly profile?: string | undefined;
  readonly clientId: string;
  readonly user: string;
  readonly scopes: readonly string[];
}

/** Tokens that were made without a browser. */
export interface MintedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Milliseconds since 1970, simulator time. */
  readonly expiresAt: number;
  readonly family: string;
}

/** A family as a judge sees it. */
export interface FamilyView {
  readonly id: string;
  readonly profile: string;
  readonly dc: string | null;
  readonly clientId: string;
  readonly user: string;
  readonly scopes: readonly string[];
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** A refresh token of it would be granted now. */
  readonly alive: boolean;
  /** Why all of it is dead; `null` while it is not revoked as a whole. */
  readonly revoked: string | null;
  /** Fingerprint of the newest refresh token that would be granted. */
  readonly current: string | null;
  /** How many refresh tokens would be granted. */
  readonly living: number;
  readonly refreshTokensMade: number;
}

/** What a judge may know of a family. */
export function viewOf(ledger: Ledger, family: Family, now: number): FamilyView {
  const current = ledger.currentOf(family, now);
  const { id, profile, dc, clientId, user, scopes, createdAt, lastUsedAt, revoked } = family;
  return {
    id,
    profile,
    dc,
    clientId,
    user,
    scopes: [...scopes],
    createdAt,
    lastUsedAt,
    revoked,
    alive: current !== null,
    current: current === null ? null : fingerprintOf(current.value),
    living: family.refreshTokens.filter((token) => ledger.isAlive(token.value, now)).length,
    refreshTokensMade: family.refreshTokens.length,
  };
}
