import { isGrantryError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { listCandidates } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { ChangeTransaction } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { appOfCandidate } from './replaced.ts';
import { openToken, refreshTokenOf } from './tokens.ts';

/** A refresh token and the app that it was issued to; null for the grant's own app. */
export interface IssuedToken {
  readonly refreshToken: Secret;
  readonly app: string | null;
}

/**
 * Lists the refresh tokens of a grant that the provider may still honour: the stored one, and untested candidates. A token
 * that does not open cannot be revoked, which must not prevent the end of its use.
 */
export async function livingTokens(
  context: VaultContext,
  { tx }: ChangeTransaction,
  row: GrantRow,
  tenantKeys: PinnedTenant,
): Promise<IssuedToken[]> {
  const candidates = await listCandidates(tx, row);
  const all = [
    { refreshToken: storedToken(tenantKeys, row), app: null, isHere: row.refresh_token !== null },
    ...candidates
      .filter(({ state }) => state === 'untested')
      .map((each) => ({
        refreshToken: refreshTokenOf(tenantKeys, row, each),
        app: appOfCandidate(tenantKeys, row, each, candidates),
        isHere: true,
      })),
  ];
  const living: IssuedToken[] = [];
  for (const { refreshToken, app, isHere } of all) {
    if (refreshToken !== null) living.push({ refreshToken, app });
    else if (isHere) {
      const { client_id: tenant, provider } = row;
      context.logger.warn('a token that does not open is shredded without being revoked', { tenant, provider });
    }
  }
  return living;
}

function storedToken(tenantKeys: PinnedTenant, row: GrantRow): Secret | null {
  try {
    return openToken(tenantKeys, row, 'refresh_token');
  } catch (error) {
    if (!isGrantryError(error, 'integrity_failed')) throw error;
    return null;
  }
}
