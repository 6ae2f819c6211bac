import { GrantryError } from '../../base/errors.ts';
import { newUuid } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import { integrityFailed, type PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { OAuthClient } from '../../oauth/types.ts';
import { grantDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type AttemptRow, hasFailed, isUnresolved, listAttempts } from '../../storage/statements/attempts.ts';
import { type CandidateRow, newestCandidate, retireCandidate } from '../../storage/statements/candidates.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { appFor, clientOf } from '../app/apps.ts';
import { retryBudgetOf } from '../bulkhead.ts';
import { changing } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { naming } from '../grant/altered.ts';
import { type Facts, factsOf, sameFacts } from '../grant/facts.ts';
import { appOfReplaced, isGenuine, openToken, refreshTokenOf } from '../grant/tokens.ts';
import { reasons } from '../reasons.ts';
import type { Spool } from '../spool/spool.ts';
import type { CandidateClient } from './candidate-client.ts';
import { recoverLostTail } from './failover.ts';
import { leaseKindOf } from './lease-kind.ts';
import { nextCandidate, successorsOf } from './next-candidate.ts';
import { deadlineFor, isReplayFatal, isUrgent, overlapLeftMs, waitForLateAnswer } from './overlap.ts';
import type { RefreshPlan } from './plan-type.ts';
import { replaySpool } from './replay.ts';
import { assertNotHeld } from './set-aside.ts';

/**
 * Prepares a refresh. Returns `look_again` if the spool held an earlier attempt's answer, which is now committed.
 *
 * @throws {GrantryError} if anything prevents the refresh; nothing was spent
 */
export async function planRefresh(
  context: VaultContext,
  row: GrantRow,
  { candidateClient, keptToken, backOff }: RefreshOptions = {},
): Promise<RefreshPlan | 'look_again'> {
  await context.guard.assertMayRefresh();
  if (await recoverLostTail(context)) return 'look_again';
  const tenant = row.client_id;
  // Read fresh: another process may have shredded and remade the tenant's keys.
  const tenantKeys = await context.keys.pin(tenant, { fresh: true });
  const prior = await listAttempts(context.store.db, { tenant, grantId: row.id, generation: row.generation });
  // An attempt without an outcome may have left its answer on this disk. A new request would then send a spent token.
  const spool = await context.spool();
  const isHeld = row.reason === reasons.answerRefused || spool.unreadableOf(row.id) !== undefined;
  const inDoubt = isHeld || prior.some(isUnresolved);
  const replayed = inDoubt ? await replaySpool(context, { grantId: row.id }) : undefined;
  if (replayed !== undefined && replayed.changed > 0) return 'look_again';

  const definition = await context.providers.require(row.provider);
  // The row may have been read again since the kept token was opened.
  if (keptToken?.facts !== undefined && !sameFacts(keptToken.facts, factsOf(row))) return 'look_again';
  const known = { tenantKeys, prior, definition };
  const token: PickedToken = keptToken ?? (await naming(context, row, () => pickToken(context, row, known)));
  // A candidate waits for requests that were sent after the one that brought it: they may bring a newer one.
  const later = prior.filter((attempt) => attempt.fence > (token.fence ?? -1));
  if (keptToken === undefined) await waitForLateAnswer(context, definition, later);
  if (replayed !== undefined) {
    await assertNotHeld(context, row, definition, { waiting: replayed.setAside, fence: token.fence ?? -1 });
  }
  const { client, appName } = await clientFor(
    context,
    definition,
    { ...row, app: token.app ?? row.app },
    candidateClient,
  );
  // Urgent grants, probes and an operator's requests bypass the budget.
  if (keptToken === undefined && backOff === undefined && !(await isUrgent(context, row))) {
    context.bulkheads.retries.countTry(retryBudgetOf(row, client.clientId), prior.some(hasFailed) ? 'retry' : 'first');
  }
  const fingerprint = await fingerprinter(context);
  const attemptId = newUuid(context.world);
  return {
    row,
    definition,
    client,
    appName,
    tenantKeys,
    refreshToken: token.refreshToken,
    tokenFingerprint: fingerprint(token.refreshToken),
    candidateId: token.candidateId,
    tokenApp: token.app ?? null,
    candidateFence: token.fence ?? null,
    succeedsStored: token.succeedsStored ?? false,
    newestCandidateId: token.newestCandidateId ?? null,
    prior,
    leaseKind: leaseKindOf(context, definition),
    answerDeadlineMs: deadlineFor(context, definition, { leftMs: await overlapLeftMs(context, row), prior }),
    recovering: keptToken !== undefined,
    attemptId,
    slot: await spool.reserve(`${row.id}.${attemptId}`, context.world.now() - context.times.spoolKeptMs),
    isAnswered: laterAnswers(spool, row, prior),
    isCandidateClient: candidateClient !== undefined,
    backOff: backOff ?? null,
  };
}

/** Watches for answers that arrive from now on. Answers that the spool holds already could not be committed. */
function laterAnswers(spool: Spool, row: GrantRow, prior: readonly AttemptRow[]): () => boolean {
  const awaited = prior
    .filter(isUnresolved)
    .map((attempt) => `${row.id}.${attempt.id}`)
    .filter((name) => !spool.hasAnswer(name));
  return () => awaited.some((name) => spool.hasAnswer(name));
}

async function clientFor(
  context: VaultContext,
  definition: ProviderDefinition,
  row: GrantRow,
  candidateClient: CandidateClient | undefined,
): Promise<{ client: OAuthClient; appName: string | null }> {
  const metadata = metadataOf(row);
  if (candidateClient !== undefined) {
    const { clientId, clientSecret, app } = candidateClient;
    const client = { definition, dc: grantDc({ definition, metadata, app }), clientId, clientSecret };
    return { client, appName: null };
  }
  const app = await appFor(context, { tenant: row.client_id, provider: row.provider, app: row.app });
  const client = await clientOf(context, definition, app, grantDc({ definition, metadata, app }));
  return { client, appName: app.name };
}

export interface RefreshOptions {
  /** A client that a caller handed in, for a trial. */
  readonly candidateClient?: CandidateClient | undefined;
  /** A token of a condemned grant, to be tried once more. */
  readonly keptToken?: KeptToken | undefined;
  /** The back-off in spite of which this refresh probes its provider. */
  readonly backOff?: GrantryError | undefined;
}

/** A refresh token that may be spent. */
export interface KeptToken {
  readonly refreshToken: Secret;
  /** Null for the token in the row itself. */
  readonly candidateId: string | null;
  /** The app that the token was issued to, if that may not be the grant's. */
  readonly app?: string | null;
  /** The facts under which the token was opened; left out if it was opened from the row of the plan. */
  readonly facts?: Facts;
}

interface PickedToken extends KeptToken {
  /** The fence of the attempt that brought the candidate. */
  readonly fence?: number;
  readonly succeedsStored?: boolean;
  readonly newestCandidateId?: string | null;
}

/**
 * Picks the token to spend: the stored one, unless a candidate is newer.
 *
 * A candidate that answered the token which is still stored is its successor. A candidate of an older generation may
 * long be spent. It is tried only after the stored token was refused, and never where a replay revokes the family.
 *
 * A successor must also wait if a later request with another token was lost while the provider still takes the stored
 * token. That request may have made a newer successor, and the stored token brings the newest of all. If the successor
 * itself was sent last, it is sent again: the stored token may bring that spent successor once more. Once its overlap is
 * over, the stored token brings nothing, and sending it could revoke the family.
 */
async function pickToken(
  context: VaultContext,
  row: GrantRow,
  known: { tenantKeys: PinnedTenant; prior: readonly AttemptRow[]; definition: ProviderDefinition },
): Promise<PickedToken> {
  const { tenantKeys } = known;
  const grant = { tenant: row.client_id, grantId: row.id };
  const newest = await newestCandidate(context.store.db, { ...grant, authorizedGeneration: row.authorized_generation });
  const leftMs = await overlapLeftMs(context, row);
  const next = await nextCandidate(context.store.db, row, { ...known, newest, leftMs });
  const isItsTurn = next !== undefined && isCandidatesTurn(row, next, { ...known, leftMs });
  const candidate = isItsTurn ? next : await lastSuccessor(context, row, known.definition, leftMs);
  const newestCandidateId = newest?.id ?? null;
  if (candidate !== undefined) {
    const opened = await openOrRetire(context, tenantKeys, row, candidate);
    if (opened === null) return pickToken(context, row, known);
    const succeedsStored = candidate.generation >= row.generation;
    const { id: candidateId, fence } = candidate;
    const app = appOfReplaced(tenantKeys, row, candidate);
    return { refreshToken: opened, candidateId, app, fence, succeedsStored, newestCandidateId };
  }
  const stored = openToken(tenantKeys, row, 'refresh_token');
  if (stored !== null) return { refreshToken: stored, candidateId: null, newestCandidateId };
  throw new GrantryError(
    'reauthorization_required',
    `${row.provider} issued no refresh token for the grant of ${row.client_id}.`,
  );
}

/**
 * Finds the last successor of the stored token, if a replay revokes the family. The stored token is then not sent, even
 * if the successor was refused. It may be sent while its overlap is running.
 */
async function lastSuccessor(
  context: VaultContext,
  row: GrantRow,
  definition: ProviderDefinition,
  leftMs: number | null,
): Promise<CandidateRow | undefined> {
  if (row.state === 'active' || !isReplayFatal(definition, leftMs)) return undefined;
  const [last] = await successorsOf(context.store.db, row);
  return last;
}

/**
 * Opens a candidate. One that the tenant's current keys do not open is retired, so that others are tried.
 *
 * @throws {GrantryError} `integrity_failed` if not even the stored token opens
 */
async function openOrRetire(
  context: VaultContext,
  tenantKeys: PinnedTenant,
  row: GrantRow,
  candidate: CandidateRow,
): Promise<Secret | null> {
  const { tenant, id, grant_id: grant } = candidate;
  const fresh = () => context.keys.pin(tenant, { fresh: true });
  const opened = refreshTokenOf(tenantKeys, row, candidate) ?? refreshTokenOf(await fresh(), row, candidate);
  if (opened !== null) return opened;
  // If the row itself was altered, no candidate of it opens. They must be there when the row is put back.
  if (!isGenuine(tenantKeys, row)) throw integrityFailed();
  await changing(context, ({ tx }) => retireCandidate(tx, { tenant, id }));
  context.logger.error('a candidate does not open and is no longer tried', { tenant, grant });
  return null;
}

function isCandidatesTurn(
  row: GrantRow,
  candidate: CandidateRow,
  known: { prior: readonly AttemptRow[]; definition: ProviderDefinition; leftMs: number | null },
): boolean {
  if (row.state === 'uncertain' && row.reason === reasons.storedRefused) return true;
  if (candidate.generation < row.generation) return false;
  const { rotation } = known.definition.refreshToken;
  if (rotation !== 'timed_overlap' && rotation !== 'retire_on_use') return true;
  if (known.leftMs !== null && known.leftMs <= 0) return true;
  // The newest attempts come first.
  const last = known.prior.find((attempt) => attempt.fence > candidate.fence && isUnresolved(attempt));
  return last === undefined || last.candidate_id === candidate.id;
}
