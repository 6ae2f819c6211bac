import { GrantryError, isGrantryError, isVaultDown } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { type CandidateRow, listCandidates } from '../../storage/statements/candidates.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { compartmentOf } from '../bulkhead.ts';
import { finishConsents } from '../connect/finish-consents.ts';
import type { VaultContext } from '../context.ts';
import { naming } from '../grant/altered.ts';
import { factsOf } from '../grant/facts.ts';
import { missingGrant } from '../grant/missing.ts';
import { noSuchGrant, stopping } from '../grant/refusals.ts';
import { appOfCandidate, isFromConsent, isReplacedByHand } from '../grant/replaced.ts';
import { openToken, refreshTokenOf } from '../grant/tokens.ts';
import { successorsOf } from '../refresh/next-candidate.ts';
import { isReplayFatal } from '../refresh/overlap.ts';
import type { KeptToken } from '../refresh/plan.ts';
import { refreshGrant, refreshRound } from '../refresh/refresh.ts';
import { replaySpool } from '../refresh/replay.ts';
import { spoolAnswers } from '../spool/names.ts';
import type { RecoverReport } from '../types.ts';

/**
 * Retries a given-up grant with every kept token, newest first: all candidates, even rejected ones, and the stored token. A
 * grant in doubt that is not given up gets a normal refresh. Answers that wait in this host's spool, also to the code of a consent, come before both.
 *
 * @param replacedToo Whether tokens are tried that were replaced by hand. An operator must ask: a user who ends an
 * access does not expect an earlier one to take its place.
 * @throws {GrantryError} `grant_not_found`, `grant_quarantined`, `storage_unavailable`, `vault_sealed`
 */
export async function recoverGrant(
  context: VaultContext,
  keyInput: GrantKey,
  { replacedToo }: { readonly replacedToo: boolean },
): Promise<RecoverReport> {
  const key = checkKey(keyInput);
  await context.guard.assertMayRefresh();
  await finishConsents(context, { only: key, unread: true });
  const found = await findGrant(context.store.db, key);
  if (found === undefined) throw await missingGrant(context, key);
  if (found.state === 'disconnected') throw noSuchGrant(key);
  if (found.state === 'active') return { ...key, outcome: 'not_needed', tried: 0 };
  const row = await afterKeptAnswers(context, key, found);
  if (row.state === 'active') return { ...key, outcome: 'recovered', tried: 0 };
  if (row.state !== 'reauthorization_required') return resolveDoubt(context, key, row);
  return tryKeptTokens(context, key, row, replacedToo);
}

/** Tries the answers in this host's spool again: those set aside, and those not understood. Returns the row after that. */
async function afterKeptAnswers(context: VaultContext, key: CheckedKey, row: GrantRow): Promise<GrantRow> {
  const { changed } = await replaySpool(context, { grantId: row.id, kinds: spoolAnswers, retryNow: true });
  return changed === 0 ? row : ((await findGrant(context.store.db, key)) ?? row);
}

async function resolveDoubt(context: VaultContext, key: CheckedKey, row: GrantRow): Promise<RecoverReport> {
  try {
    await refreshGrant(context, key, row.generation);
    return { ...key, outcome: 'recovered', tried: 1 };
  } catch (error) {
    return failure(key, 1, error);
  }
}

async function tryKeptTokens(
  context: VaultContext,
  key: CheckedKey,
  found: GrantRow,
  replacedToo: boolean,
): Promise<RecoverReport> {
  let tried = 0;
  // Tokens that were replaced by hand may belong to another app than one that the provider refuses.
  const refusedApps = new Map<string | null, unknown>();
  for (const keptToken of await naming(context, found, () => keptTokens(context, found, replacedToo))) {
    if (context.closing()) throw stopping(context);
    const app = keptToken.app ?? found.app;
    if (refusedApps.has(app)) continue;
    // Read again for each token, because a refusal changes the row and a claim requires the current version.
    const row = tried === 0 ? found : await findGrant(context.store.db, key);
    if (row?.state !== 'reauthorization_required') return { ...key, outcome: 'under_way', tried };
    tried += 1;
    try {
      const outcome = await context.bulkheads.run(
        compartmentOf(row),
        (report) => refreshRound(context, row, report, { keptToken }),
        { tenant: key.tenant },
      );
      if (outcome === 'saved') return { ...key, outcome: 'recovered', tried };
      // Another process is refreshing, or an answer was found in the spool. Both are more promising than another request.
      return { ...key, outcome: 'under_way', tried };
    } catch (error) {
      if (isGrantryError(error, 'provider_misconfigured')) refusedApps.set(app, error);
      else if (!isGrantryError(error, 'reauthorization_required')) return failure(key, tried, error);
    }
  }
  const [misconfigured] = refusedApps.values();
  return misconfigured === undefined ? { ...key, outcome: 'refused', tried } : failure(key, tried, misconfigured);
}

/**
 * Lists the tokens to try, newest first, without duplicates: those of the last authorization, then, if asked for, what was
 * replaced by hand.
 */
async function keptTokens(context: VaultContext, row: GrantRow, replacedToo: boolean): Promise<KeptToken[]> {
  const tenantKeys = await context.keys.pin(row.client_id, { fresh: true });
  const all = await listCandidates(context.store.db, row);
  const candidates = all.filter((each) => each.generation >= row.authorized_generation);
  // If a replay revokes the token family, a token with a known successor could only revoke what is left.
  const definition = await context.providers.require(row.provider);
  const [successor] = await successorsOf(context.store.db, row);
  // A given-up grant has no running overlap window.
  const isFatal = isReplayFatal(definition, null);
  // The other tokens of a broken consent succeed nothing: each may be the only right one.
  const untried = candidates.filter((each) => isFromConsent(each) && each.state === 'untested');
  const worthTrying = isFatal ? (successor === undefined ? untried : [successor]) : candidates;
  const facts = factsOf(row);
  const kept: KeptToken[] = [];
  for (const candidate of worthTrying) {
    if (candidate.token_fingerprint === row.refresh_fingerprint) continue;
    const refreshToken = refreshTokenOf(tenantKeys, row, candidate);
    // Skip a candidate that cannot be decrypted, so that the others are tried.
    const app = appOfCandidate(tenantKeys, row, candidate, all);
    if (refreshToken !== null) kept.push({ refreshToken, candidateId: candidate.id, app, facts });
  }
  const stored = isFatal && successor !== undefined ? null : openToken(tenantKeys, row, 'refresh_token');
  if (stored !== null) kept.push({ refreshToken: stored, candidateId: null, facts });
  if (!replacedToo) return kept;
  const replaced = all.filter((each) => each.generation < row.authorized_generation);
  return [...kept, ...replacedTokens(tenantKeys, row, replaced, isFatal)];
}

/**
 * Opens token sets that were replaced by hand, newest first. A candidate with a fence is the successor of the token that
 * was replaced with it, so it comes before that token. If a replay revokes the family, only the newest is worth a try.
 */
function replacedTokens(
  tenantKeys: PinnedTenant,
  row: GrantRow,
  candidates: readonly CandidateRow[],
  isFatal: boolean,
): KeptToken[] {
  const newest = candidates.toSorted((one, other) => other.generation - one.generation || other.fence - one.fence);
  const byGeneration = [...Map.groupBy(newest, ({ generation }) => generation).values()];
  // The last generation of an authorization is the one whose stored token was replaced.
  const worthTrying = isFatal
    ? byGeneration.filter((sets) => sets.some(isReplacedByHand)).map(([first]) => first)
    : newest;
  return worthTrying.flatMap((candidate) => {
    if (candidate === undefined) return [];
    const app = appOfCandidate(tenantKeys, row, candidate, candidates);
    const refreshToken = refreshTokenOf(tenantKeys, row, candidate);
    const facts = factsOf(row);
    return refreshToken === null ? [] : [{ refreshToken, candidateId: candidate.id, app, facts }];
  });
}

function failure(key: CheckedKey, tried: number, error: unknown): RecoverReport {
  if (!(error instanceof GrantryError)) throw error;
  if (isVaultDown(error)) throw error;
  const refused = error.code === 'reauthorization_required';
  return { ...key, outcome: refused ? 'refused' : 'failed', tried, error: error.code };
}
