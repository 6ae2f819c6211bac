import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';

type Column = 'access_token' | 'refresh_token';

/** Seals the tokens of one generation of a grant. A seal opens only in its own row, column and generation. */
export function sealTokens(
  tenant: PinnedTenant,
  grant: { id: string; generation: number },
  tokens: { accessToken: Secret | null; refreshToken: Secret | null },
): Record<Column, string | null> {
  const seal = (column: Column, secret: Secret | null) =>
    secret === null
      ? null
      : tenant.seal({ table: 'oauth_tokens', row: grant.id, column, generation: grant.generation }, secret);
  return {
    access_token: seal('access_token', tokens.accessToken),
    refresh_token: seal('refresh_token', tokens.refreshToken),
  };
}

/** Opens a stored token. @throws {GrantryError} `integrity_failed` if it was moved or altered, or is not sealed */
export function openToken(
  tenant: PinnedTenant,
  row: Pick<GrantRow, 'id' | 'generation' | Column>,
  column: Column,
): Secret | null {
  const sealed = row[column];
  if (sealed === null) return null;
  if (row.generation === 0) {
    throw new GrantryError('integrity_failed', 'The tokens of this grant were taken over and are not sealed yet.', {
      action: 'Continue the take-over: grantry init',
    });
  }
  return tenant.open({ table: 'oauth_tokens', row: row.id, column, generation: row.generation }, sealed);
}

/** The parts of a token set that are parked in a candidate, as JSON inside one seal. */
export interface CandidateTokens {
  readonly refreshToken: string;
  readonly accessToken: string | null;
  readonly expiresAt: number | null;
  /** The app of a token set that was replaced by hand, or of its successor. */
  readonly app?: string | null;
}

/** Packs the stored tokens of a row for a candidate. Null if there are none, or they do not open. */
export function replacedTokens(tenant: PinnedTenant, row: GrantRow): CandidateTokens | null {
  try {
    const refreshToken = openToken(tenant, row, 'refresh_token')?.reveal();
    if (refreshToken === undefined) return null;
    const accessToken = openToken(tenant, row, 'access_token')?.reveal() ?? null;
    const expiresAt = row.token_expiry === null ? null : Date.parse(row.token_expiry);
    return { refreshToken, accessToken, expiresAt, app: row.app };
  } catch (error) {
    // Tokens that do not open are lost anyway, and new ones are their cure.
    if (isGrantryError(error, 'integrity_failed')) return null;
    throw error;
  }
}

/** Packs a refresh token of which nothing else is known. */
export function lone(refreshToken: Secret): CandidateTokens {
  return { refreshToken: refreshToken.reveal(), accessToken: null, expiresAt: null };
}

export function sealCandidate(
  tenant: PinnedTenant,
  candidate: { id: string; generation: number },
  tokens: CandidateTokens,
): string {
  return tenant.seal(candidatePlace(candidate), new Secret(JSON.stringify(tokens)));
}

export function openCandidate(
  tenant: PinnedTenant,
  candidate: { id: string; generation: number; tokens: string },
): CandidateTokens {
  // Only this file seals candidates, and an altered seal does not open.
  return JSON.parse(tenant.open(candidatePlace(candidate), candidate.tokens).reveal()) as CandidateTokens;
}

/** Opens the refresh token of a candidate; null if it does not open. */
export function refreshTokenOf(
  tenant: PinnedTenant,
  candidate: { id: string; generation: number; tokens: string },
): Secret | null {
  try {
    return new Secret(openCandidate(tenant, candidate).refreshToken);
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return null;
  }
}

/** The app that a candidate names; null if it names none or does not open. */
export function appOfReplaced(
  tenant: PinnedTenant,
  candidate: { id: string; generation: number; tokens: string },
): string | null {
  try {
    return openCandidate(tenant, candidate).app ?? null;
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return null;
  }
}

function candidatePlace(candidate: { id: string; generation: number }) {
  return { table: 'grantry_candidates', row: candidate.id, column: 'tokens', generation: candidate.generation };
}
