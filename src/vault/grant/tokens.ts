import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { Secret } from '../../base/secret.ts';
import type { PinnedTenant, SealPlace } from '../../crypto/tenant-keys.ts';
import type { CandidateRow } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { type Facts, factsOf, type Placed } from './facts.ts';

type Column = 'access_token' | 'refresh_token';

/** A grant's row, as far as its seals bind it. */
export type SealedRow = Placed & Pick<GrantRow, 'id' | 'generation' | Column>;

/** Seals the tokens of one generation of a grant. A seal opens only in its own row, column and generation, beside its facts. */
export function sealTokens(
  tenant: PinnedTenant,
  grant: { id: string; generation: number; facts: Facts },
  tokens: { accessToken: Secret | null; refreshToken: Secret | null },
): Record<Column, string | null> {
  const { id: row, generation, facts } = grant;
  const seal = (column: Column, secret: Secret | null) =>
    secret === null ? null : tenant.seal({ table: 'oauth_tokens', row, column, generation, facts }, secret);
  return {
    access_token: seal('access_token', tokens.accessToken),
    refresh_token: seal('refresh_token', tokens.refreshToken),
  };
}

/** Opens a stored token. @throws {GrantryError} `integrity_failed` if it or its row was altered, or it is not sealed */
export function openToken(tenant: PinnedTenant, row: SealedRow, column: Column): Secret | null {
  const sealed = row[column];
  if (sealed === null) return null;
  if (row.generation === 0) {
    throw new GrantryError('integrity_failed', 'The tokens of this grant were taken over and are not sealed yet.', {
      action: 'Continue the take-over: grantry init',
    });
  }
  return tenant.open(tokenPlace(row, column), sealed);
}

/** The place of a stored token. */
export function tokenPlace(row: SealedRow, column: Column): SealPlace {
  return { table: 'oauth_tokens', row: row.id, column, generation: row.generation, facts: factsOf(row) };
}

/**
 * True if a token of the row opens, so that no other program has altered where it goes. A row without tokens cannot prove it.
 */
export function isGenuine(tenant: PinnedTenant, row: SealedRow): boolean {
  const column = row.refresh_token === null ? 'access_token' : 'refresh_token';
  try {
    return openToken(tenant, row, column) !== null;
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return false;
  }
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

/** A candidate, as far as its seal binds it. */
type SealedCandidate = Pick<CandidateRow, 'id' | 'generation' | 'tokens'>;

/** Seals a candidate of a grant, beside the facts of the grant's row. */
export function sealCandidate(
  tenant: PinnedTenant,
  facts: Facts,
  candidate: Omit<SealedCandidate, 'tokens'>,
  tokens: CandidateTokens,
): string {
  return tenant.seal(candidatePlace(facts, candidate), new Secret(JSON.stringify(tokens)));
}

/** Seals a candidate anew for other facts of its grant; null if it does not open. */
export function resealCandidate(
  tenant: PinnedTenant,
  { from, to }: { from: Facts; to: Facts },
  candidate: SealedCandidate,
): string | null {
  try {
    return tenant.seal(candidatePlace(to, candidate), tenant.open(candidatePlace(from, candidate), candidate.tokens));
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return null;
  }
}

/** Opens the refresh token of a candidate; null if it does not open. */
export function refreshTokenOf(tenant: PinnedTenant, row: Placed, candidate: SealedCandidate): Secret | null {
  const tokens = openCandidate(tenant, row, candidate);
  return tokens === null ? null : new Secret(tokens.refreshToken);
}

/** The app that a candidate names; null if it names none or does not open. */
export function appOfReplaced(tenant: PinnedTenant, row: Placed, candidate: SealedCandidate): string | null {
  return openCandidate(tenant, row, candidate)?.app ?? null;
}

function openCandidate(tenant: PinnedTenant, row: Placed, candidate: SealedCandidate): CandidateTokens | null {
  try {
    // Only this file seals candidates, and an altered seal does not open.
    return JSON.parse(
      tenant.open(candidatePlace(factsOf(row), candidate), candidate.tokens).reveal(),
    ) as CandidateTokens;
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return null;
  }
}

/** The place of a candidate's tokens. */
export function candidatePlace(facts: Facts, { id: row, generation }: Omit<SealedCandidate, 'tokens'>): SealPlace {
  return { table: 'grantry_candidates', row, column: 'tokens', generation, facts };
}
