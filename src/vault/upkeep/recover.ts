import { GrantryError, isGrantryError, isVaultDown } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { listCandidates } from '../../storage/statements/candidates.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { compartmentOf } from '../bulkhead.ts';
import type { VaultContext } from '../context.ts';
import { noSuchGrant, stopping } from '../grant/refusals.ts';
import { openToken, refreshTokenOf } from '../grant/tokens.ts';
import { isReplayFatal } from '../refresh/overlap.ts';
import type { KeptToken } from '../refresh/plan.ts';
import { refreshGrant, refreshRound } from '../refresh/refresh.ts';
import type { RecoverReport } from '../types.ts';

/**
 * Retries a given-up grant with every kept token, newest first: all candidates, even rejected ones, and the stored token. A
 * grant in doubt that is not given up gets a normal refresh.
 *
 * @throws {GrantryError} `grant_not_found`, `grant_quarantined`, `storage_unavailable`, `vault_sealed`
 */
export async function recoverGrant(context: VaultContext, keyInput: GrantKey): Promise<RecoverReport> {
  const key = checkKey(keyInput);
  await context.guard.assertMayRefresh();
  const row = await findGrant(context.store.db, key);
  if (row === undefined || row.state === 'disconnected') throw noSuchGrant(key);
  if (row.state === 'active') return { ...key, outcome: 'not_needed', tried: 0 };
  if (row.state !== 'reauthorization_required') return resolveDoubt(context, key, row);
  return tryKeptTokens(context, key, row);
}

async function resolveDoubt(context: VaultContext, key: CheckedKey, row: GrantRow): Promise<RecoverReport> {
  try {
    await refreshGrant(context, key, row.generation);
    return { ...key, outcome: 'recovered', tried: 1 };
  } catch (error) {
    return failure(key, 1, error);
  }
}

async function tryKeptTokens(context: VaultContext, key: CheckedKey, found: GrantRow): Promise<RecoverReport> {
  let tried = 0;
  for (const keptToken of await keptTokens(context, found)) {
    if (context.closing()) throw stopping(context);
    // Read again for each token, because a refusal changes the row and a claim requires the current version.
    const row = tried === 0 ? found : await findGrant(context.store.db, key);
    if (row?.state !== 'reauthorization_required') return { ...key, outcome: 'under_way', tried };
    tried += 1;
    try {
      const outcome = await context.bulkheads.run(compartmentOf(row), (report) =>
        refreshRound(context, row, report, { keptToken }),
      );
      if (outcome === 'saved') return { ...key, outcome: 'recovered', tried };
      // Another process is refreshing, or an answer was found in the spool. Both are more promising than another request.
      return { ...key, outcome: 'under_way', tried };
    } catch (error) {
      if (!isGrantryError(error, 'reauthorization_required')) return failure(key, tried, error);
    }
  }
  return { ...key, outcome: 'refused', tried };
}

/** Lists the tokens to try, newest first, without duplicates. */
async function keptTokens(context: VaultContext, row: GrantRow): Promise<KeptToken[]> {
  const tenantKeys = await context.keys.pin(row.client_id, { fresh: true });
  const candidates = await listCandidates(context.store.db, row);
  // If a replay revokes the token family, a token with a known successor could only revoke what is left.
  const definition = await context.providers.require(row.provider);
  const successor = candidates.find((each) => each.generation >= row.generation && each.state !== 'superseded');
  // A given-up grant has no running overlap window.
  const isFatal = isReplayFatal(definition, null);
  const worthTrying = isFatal ? (successor === undefined ? [] : [successor]) : candidates;
  const kept: KeptToken[] = [];
  for (const candidate of worthTrying) {
    if (candidate.token_fingerprint === row.refresh_fingerprint) continue;
    const refreshToken = refreshTokenOf(tenantKeys, candidate);
    // Skip a candidate that cannot be decrypted, so that the others are tried.
    if (refreshToken !== null) kept.push({ refreshToken, candidateId: candidate.id });
  }
  const stored = isFatal && successor !== undefined ? null : openToken(tenantKeys, row, 'refresh_token');
  return stored === null ? kept : [...kept, { refreshToken: stored, candidateId: null }];
}

function failure(key: CheckedKey, tried: number, error: unknown): RecoverReport {
  if (!(error instanceof GrantryError)) throw error;
  if (isVaultDown(error)) throw error;
  const refused = error.code === 'reauthorization_required';
  return { ...key, outcome: refused ? 'refused' : 'failed', tried, error: error.code };
}
