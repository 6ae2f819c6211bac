import { codeOf, isVaultDown } from '../../base/errors.ts';
import { newUuid } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { Salvaged } from '../../oauth/salvage.ts';
import type { TokenSet } from '../../oauth/types.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { WriteTx } from '../../storage/database.ts';
import { finishAttempt, pruneAttempts } from '../../storage/statements/attempts.ts';
import {
  deleteCandidates,
  findCandidate,
  insertCandidate,
  retireCandidate,
  supersedeCandidates,
} from '../../storage/statements/candidates.ts';
import { assumedScopes, confirmScopes } from '../../storage/statements/grant-scopes.ts';
import { type GrantRow, lockGrant, metadataOf, scopesOfRow } from '../../storage/statements/grants.ts';
import { type Lease, raiseDoubt, releaseLease, saveTokens } from '../../storage/statements/leases.ts';
import { tenantKeyStands } from '../../storage/statements/tenant-keys.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, isoNow, type VaultContext } from '../context.ts';
import { changeColumns, genuineFacts } from '../grant/change-facts.ts';
import { dueAtOf } from '../grant/due.ts';
import { type Facts, issuedTo } from '../grant/facts.ts';
import { withoutPinned } from '../grant/new-metadata.ts';
import { queueRevocation } from '../grant/revocations.ts';
import { keepsFew, leaveReplaced } from '../grant/slots/leave.ts';
import { appOfReplaced, sealCandidate, sealTokens } from '../grant/tokens.ts';
import { reasons } from '../reasons.ts';

/** The attempt that brought tokens, just now or before a crash. */
export interface TokenAttempt {
  readonly lease: Lease;
  readonly attemptId: string;
  /** The candidate whose token was spent; null for the stored token. */
  readonly candidateId: string | null;
  readonly provider: string;
  /** The token that stays valid if the answer has no refresh token (RFC 6749 section 6). */
  readonly spentToken: Secret;
  readonly spentFingerprint: string;
  readonly tenantKeys: PinnedTenant;
  /** The facts under which the spent token was opened; undefined in the spool of earlier versions. */
  readonly facts: Facts | undefined;
  /** The app of the spent token, if the grant has got another one since; null for the grant's own. */
  readonly app?: string | null;
  /** The scopes that were added before the request was sent; an answer from the spool does not know them. */
  readonly added?: readonly string[];
}

/** Attempts are kept for this many past generations. */
const generationsRemembered = 2;

/**
 * The fate of tokens that arrived. `saved`: they are the next generation. `parked`: they are a candidate. `nothing`:
 * they are known already, belong to a past authorization, or cannot be spent. `orphaned`: the grant was disconnected
 * meanwhile. Orphaned tokens are queued for revocation, unless the disconnect asked for none.
 */
export type CommitOutcome = 'saved' | 'parked' | 'nothing' | 'orphaned';

/**
 * Saves tokens as the next generation, or parks them if the lease is no longer ours. Either way they are durable when
 * this returns.
 */
export async function commitTokens(
  context: VaultContext,
  attempt: TokenAttempt,
  tokens: TokenSet,
): Promise<CommitOutcome> {
  return underStandingKeys(context, attempt, (standing) => commitOnce(context, standing, tokens));
}

/**
 * Commits tokens, without the answer's metadata if the database refuses that: metadata never costs tokens.
 *
 * @throws what the database says if it refuses the tokens themselves
 */
export async function commitWhatFits(
  context: VaultContext,
  attempt: TokenAttempt,
  tokens: TokenSet,
): Promise<CommitOutcome> {
  try {
    return await commitTokens(context, attempt, tokens);
  } catch (error) {
    if (isVaultDown(error) || Object.keys(tokens.metadata).length === 0) throw error;
    const { tenant, grantId: grant } = attempt.lease;
    context.logger.error('the database refuses an answer: it is saved without its metadata', {
      tenant,
      grant,
      code: codeOf(error),
    });
    return commitTokens(context, attempt, { ...tokens, metadata: {} });
  }
}

async function commitOnce(
  context: VaultContext,
  attempt: TokenAttempt,
  tokens: TokenSet,
): Promise<CommitOutcome | 'keys_gone'> {
  const fingerprint = await fingerprinter(context);
  const { lease, added = [] } = attempt;
  const { tenant, grantId } = lease;
  const refreshToken = tokens.refreshToken ?? attempt.spentToken;
  const generation = lease.generation + 1;
  const definition = await context.providers.get(attempt.provider);
  const due_at = definition === null ? null : dueAtOf(context, definition, tokens.expiresAt);
  const { tenantKeys } = attempt;
  const isCounted = keepsFew(definition);
  return changing(context, async (change) => {
    const { tx } = change;
    const row = await lockGrant(tx, tenant, grantId);
    const parked = { refreshToken, accessToken: tokens.accessToken, expiresAt: tokens.expiresAt };
    if (row === undefined || !isHeld(row, lease)) return park(context, change, attempt, parked);
    const facts = genuineFacts(tenantKeys, row, attempt.facts);
    const sealed = sealTokens(tenantKeys, { id: grantId, generation, facts }, { ...tokens, refreshToken });
    const isGaining = tokens.scopes === null && definition?.scopeEnhancement !== undefined;
    const scopes = isGaining ? await withAdded(tx, row, added) : tokens.scopes;
    const isSaved = await saveTokens(tx, lease, {
      ...sealed,
      token_expiry: new Date(tokens.expiresAt).toISOString(),
      token_type: tokens.tokenType,
      obtained_at: context.world.now(),
      refresh_fingerprint: fingerprint(refreshToken),
      due_at,
      at: isoNow(context),
      atMs: context.world.now(),
      ...(scopes === null ? {} : { scopes: scopes.join(',') }),
    });
    if (!isSaved) return park(context, change, attempt, parked);
    // The answer to an earlier request says nothing about scopes that were added since.
    const counted = definition?.scopeEnhancement === undefined ? null : added;
    if (tokens.scopes !== null) await confirmScopes(tx, { tenant, grantId }, counted);
    await finishAttempt(tx, { tenant, id: attempt.attemptId, outcome: 'saved', detail: null });
    const news = { app: attempt.app ?? row.app, metadata: newMetadata(definition, row, tokens.metadata) };
    await changeColumns(context, change, { row: { ...row, ...sealed, generation }, tenantKeys }, news);
    if (isCounted && row.last_refreshed_at === null) await leaveReplaced(change, row, row.authorized_generation);
    // Candidates of this generation stay: only a refusal shows which successor the provider honours.
    await supersedeCandidates(tx, { tenant, grantId, untilGeneration: lease.generation - 1 });
    if (attempt.candidateId !== null) await retireCandidate(tx, { tenant, id: attempt.candidateId });
    // The first refresh since the tokens were stored proves them, so what they replaced is shredded.
    const { authorized_generation: belowGeneration } = row;
    if (row.last_refreshed_at === null) await deleteCandidates(tx, { tenant, grantId, belowGeneration });
    await pruneAttempts(tx, { tenant, grantId, belowGeneration: lease.generation - generationsRemembered });
    const type = row.state === 'reauthorization_required' ? 'grant.revived' : 'grant.refreshed';
    const details = { fingerprint: fingerprint(refreshToken) };
    change.record(row, { type, to: 'active', reason: null, generation, details });
    return 'saved';
  });
}

/**
 * The scopes of a token whose answer names none: those of the grant, and those that were added to its refresh token before
 * the request was sent.
 */
async function withAdded(tx: WriteTx, row: GrantRow, added: readonly string[]): Promise<string[] | null> {
  if (added.length === 0) return null;
  const assumed = await assumedScopes(tx, { tenant: row.client_id, grantId: row.id });
  const gained = assumed.filter((scope) => added.includes(scope));
  return gained.length === 0 ? null : [...new Set([...scopesOfRow(row), ...gained])];
}

/** True while the row stands as it was claimed: its next generation may be written. */
function isHeld(row: GrantRow, { fence, generation }: Lease): boolean {
  return row.lease_fence === fence && row.generation === generation && row.state !== 'disconnected';
}

/** Tokens that are stored beside the row. */
interface ParkedTokens {
  refreshToken: Secret;
  accessToken: Secret | null;
  expiresAt: number | null;
}

/**
 * Parks the tokens of an answer that cannot be saved as a generation, and ends its lease, so that they are tried next.
 * They are never dropped, since the provider may honour only them. They revive a condemned grant. If an answer names
 * several refresh tokens, each becomes a candidate, all in one transaction.
 */
export async function parkTokens(
  context: VaultContext,
  attempt: TokenAttempt,
  { refreshTokens, accessToken }: Salvaged,
): Promise<CommitOutcome> {
  return underStandingKeys(context, attempt, (standing) =>
    changing(context, async (change) => {
      const outcomes = new Set<CommitOutcome | 'keys_gone'>();
      for (const refreshToken of refreshTokens) {
        outcomes.add(await park(context, change, standing, { refreshToken, accessToken, expiresAt: null }));
      }
      if (outcomes.has('parked')) await releaseLease(change.tx, attempt.lease);
      return outcomesByWeight.find((each) => outcomes.has(each)) ?? 'nothing';
    }),
  );
}

/** The outcome of several tokens together is the first of these that one of them has. */
const outcomesByWeight = ['keys_gone', 'orphaned', 'parked'] as const;

/** Runs a commit under keys that exist. A tenant may have left during the request: its answer is then sealed anew. */
async function underStandingKeys(
  context: VaultContext,
  attempt: TokenAttempt,
  commit: (attempt: TokenAttempt) => Promise<CommitOutcome | 'keys_gone'>,
): Promise<CommitOutcome> {
  let standing = attempt;
  for (;;) {
    const outcome = await commit(standing);
    if (outcome !== 'keys_gone') return outcome;
    standing = { ...attempt, tenantKeys: await context.keys.pin(attempt.lease.tenant, { fresh: true }) };
  }
}

async function park(
  context: VaultContext,
  change: ChangeTransaction,
  attempt: TokenAttempt,
  tokens: ParkedTokens,
): Promise<CommitOutcome | 'keys_gone'> {
  const { tx } = change;
  const { tenant, grantId, fence } = attempt.lease;
  const fingerprint = (await fingerprinter(context))(tokens.refreshToken);
  const row = await lockGrant(tx, tenant, grantId);
  const finish = (outcome: 'parked' | 'saved') =>
    finishAttempt(tx, { tenant, id: attempt.attemptId, outcome, detail: null });
  const key = { tenant, wrapped: attempt.tenantKeys.sealingKey };
  const keysStand = () => tenantKeyStands(tx, key);
  if (row === undefined) return 'nothing';
  if (row.state === 'disconnected') {
    const ended = await orphan(context, change, attempt, { row, refreshToken: tokens.refreshToken, keysStand });
    if (ended === 'orphaned') await finish('parked');
    return ended;
  }
  const known = row.refresh_fingerprint === fingerprint;
  // The same authorization was stored again meanwhile: its token is the spent one, and this token is its successor.
  const succeedsStored = row.refresh_fingerprint === attempt.spentFingerprint;
  const generation = succeedsStored ? row.generation : attempt.lease.generation;
  // A token that was replaced by hand is kept for `recover`. If it was being spent, only its successor works.
  const replaced =
    generation < row.authorized_generation
      ? await findCandidate(tx, { tenant, grantId, fingerprint: attempt.spentFingerprint })
      : undefined;
  if (known || (generation < row.authorized_generation && replaced === undefined)) {
    await finish(known ? 'saved' : 'parked');
    return 'nothing';
  }
  // The tenant may have left and come back meanwhile. A value under shredded keys would never open.
  if (!(await keysStand())) return 'keys_gone';
  const facts = genuineFacts(attempt.tenantKeys, row, attempt.facts);
  const id = newUuid(context.world);
  const isNew = await insertCandidate(tx, {
    id,
    tenant,
    grant_id: grantId,
    fence,
    generation,
    token_fingerprint: fingerprint,
    state: 'untested',
    tokens: sealCandidate(
      attempt.tenantKeys,
      facts,
      { id, generation },
      {
        refreshToken: tokens.refreshToken.reveal(),
        accessToken: tokens.accessToken?.reveal() ?? null,
        expiresAt: tokens.expiresAt,
        app: attempt.app ?? (replaced === undefined ? null : appOfReplaced(attempt.tenantKeys, row, replaced)),
      },
    ),
  });
  await finish('parked');
  if (!isNew) return 'nothing';
  // The candidate whose token was sent is spent.
  const spentId = attempt.candidateId ?? replaced?.id ?? null;
  if (spentId !== null) await retireCandidate(tx, { tenant, id: spentId });
  await doubtAfterParking(context, change, row, { generation, fingerprint, isReplaced: replaced !== undefined });
  return 'parked';
}

/** Queues tokens for revocation that came after their grant was disconnected, unless the disconnect asked for none. */
async function orphan(
  context: VaultContext,
  change: ChangeTransaction,
  { facts, tenantKeys }: TokenAttempt,
  { row, refreshToken, keysStand }: { row: GrantRow; refreshToken: Secret; keysStand: () => Promise<boolean> },
): Promise<'orphaned' | 'keys_gone'> {
  if (row.reason === reasons.leftAlive) return 'orphaned';
  if (facts === undefined) {
    // A tombstone has no seal that vouches for it, and the file of an earlier version names no facts.
    const { client_id: tenant, provider } = row;
    context.logger.warn('tokens are shredded without being revoked', { tenant, provider });
    return 'orphaned';
  }
  // The tenant disconnected during the request. The answer must not outlive that: it is revoked, not kept.
  if (!(await keysStand())) return 'keys_gone';
  await queueRevocation(context, change, issuedTo(row, facts), { refreshToken, tenantKeys });
  return 'orphaned';
}

/**
 * Puts the grant in doubt. While the row has the generation that was spent, its stored token is older than the
 * candidate, so the candidate is due at once. A condemned grant was given up without this token, so it is revived.
 */
async function doubtAfterParking(
  context: VaultContext,
  change: ChangeTransaction,
  row: GrantRow,
  parked: { generation: number; fingerprint: string; isReplaced: boolean },
): Promise<void> {
  const details = { fingerprint: parked.fingerprint };
  const { generation } = parked;
  // The successor of a token that was replaced by hand waits for `recover`.
  const condemned = row.state === 'reauthorization_required' && !parked.isReplaced;
  const stale = row.generation === generation;
  if (!condemned && !stale) {
    change.record(row, { type: 'grant.parked', to: row.state, reason: row.reason, generation, details });
    return;
  }
  const grant = { tenant: row.client_id, grantId: row.id };
  // The stored token of a condemned grant was refused already, so a candidate of any age is tried now.
  const reason = condemned ? reasons.storedRefused : reasons.candidate;
  await raiseDoubt(change.tx, {
    ...grant,
    reason,
    at: isoNow(context),
    from: ['active', 'uncertain', 'suspect', 'reauthorization_required'],
  });
  change.record(row, { type: condemned ? 'grant.revived' : 'grant.parked', to: 'uncertain', reason, details });
}

/** Merges the answer's metadata into the row's; undefined if it brings nothing new. */
function newMetadata(
  definition: ProviderDefinition | null,
  row: GrantRow,
  answered: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> | undefined {
  const known = metadataOf(row);
  const members = definition === null ? answered : withoutPinned(definition, known, answered);
  const changed = Object.entries(members).some(([name, value]) => known[name] !== value);
  return changed ? { ...known, ...members } : undefined;
}
