import { codeOf, isGrantryError } from '../../base/errors.ts';
import { type GrantKey, newUuid } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant, SealPlace } from '../../crypto/tenant-keys.ts';
import { type RevokeOutcome, sendRevoke } from '../../oauth/revoke.ts';
import { grantDc, metadataOfPlace, placeNamedIn } from '../../providers/data-centre.ts';
import { userIn } from '../../storage/consent-user.ts';
import type { Reader } from '../../storage/database.ts';
import { grantsWithCandidate } from '../../storage/statements/candidates.ts';
import { isConnecting } from '../../storage/statements/connect-sessions.ts';
import { type GrantRow, grantsOfApp, grantsWithRefreshToken, metadataOf } from '../../storage/statements/grants.ts';
import {
  claimDueRevocations,
  claimNewRevocations,
  claimRevocationsOfApps,
  claimRevocationsOfGrant,
  deleteRevocation,
  insertRevocation,
  type RevocationRow,
  rescheduleRevocation,
} from '../../storage/statements/revocations.ts';
import { appFor, clientOf } from '../app/apps.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';
import type { Disconnected } from '../disconnected.ts';
import { factsOfQueued } from './facts.ts';
import { shredTenantIfEmpty } from './shred.ts';
import { endRevocation, isCounted } from './slots/leave.ts';
import { recheckSlots } from './slots/warn.ts';

/** The owner of a token to revoke: a grant, or (with `id` null) a connect session that never became a grant. */
export type Revocable = Pick<GrantRow, 'client_id' | 'provider' | 'account' | 'app' | 'metadata'> &
  Partial<Pick<GrantRow, 'consented_at' | 'consent_user'>> & {
    readonly id: string | null;
  };

/** Queues a sealed refresh token for revocation, in the transaction that ends its use. Returns the entry's id. */
export async function queueRevocation(
  context: VaultContext,
  change: ChangeTransaction,
  row: Revocable,
  token: { refreshToken: Secret; tenantKeys: PinnedTenant },
): Promise<string> {
  const id = newUuid(context.world);
  const fingerprint = await fingerprinter(context);
  const { provider, account, app } = row;
  // The definition that knows the API host is read when the token is sent: a transaction awaits only its own statements.
  const place = { provider, account, app, dc: placeNamedIn(metadataOf(row)) };
  await insertRevocation(change.tx, {
    ...place,
    id,
    tenant: row.client_id,
    grant_id: row.id,
    consented_at: row.consented_at ?? null,
    consent_user: row.consent_user ?? userIn(metadataOf(row)),
    token: token.tenantKeys.seal(revocationPlace({ ...place, id }), token.refreshToken),
    token_fingerprint: fingerprint(token.refreshToken),
    lifeMs: context.times.revocationLifeMs,
  });
  return id;
}

/**
 * Revokes the queued tokens of a disconnected grant now.
 *
 * @param options.isOrdered True if a caller ordered the end of this grant. The order holds also at a provider that then ends
 * all grants of the account, but never for a token that another grant holds.
 */
export async function revokeOfGrant(
  context: VaultContext,
  grant: { tenant: string; grantId: string },
  options: { isOrdered?: boolean } = {},
): Promise<Disconnected> {
  const entries = await changing(context, ({ tx }) =>
    claimRevocationsOfGrant(tx, { ...grant, holdMs: context.times.revocationHoldMs }),
  );
  const ends: Disconnected[] = [];
  for (const entry of entries) ends.push(await endOf(context, entry, options));
  // Of several tokens, the one that may still be alive is told of.
  const revocation = told.find((word) => ends.some((end) => end.revocation === word)) ?? 'nothing';
  if (revocation !== 'shared') return { revocation };
  return { revocation, sharedWith: distinctKeys(ends.flatMap((end) => end.sharedWith ?? [])) };
}

/**
 * Revokes tokens now that were just queued and never became a grant's, all at once: no worker may run here. A failure is left
 * to the queue.
 */
export async function revokeDiscarded(context: VaultContext, tenant: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  try {
    const claim = { tenant, ids, holdMs: context.times.revocationHoldMs };
    const entries = await changing(context, ({ tx }) => claimNewRevocations(tx, claim));
    await Promise.all(entries.map((entry) => endOf(context, entry)));
  } catch (error) {
    if (!isGrantryError(error)) throw error;
    context.logger.warn('a discarded token could not be revoked yet', { tenant, code: error.code });
  }
}

/** Revokes the queued tokens of apps now, whether they are due or not, all at once. */
export async function revokeOfApps(context: VaultContext, apps: readonly string[]): Promise<void> {
  const claim = { apps, holdMs: context.times.revocationHoldMs, limit: limits.makeRoomTokensMax };
  const entries = await changing(context, ({ tx }) => claimRevocationsOfApps(tx, claim));
  await Promise.all(entries.map((entry) => endOf(context, entry)));
}

const told = ['shared', 'queued', 'revoked', 'not_supported'] as const;

/**
 * Revokes due tokens of all tenants, and returns the number of entries that it claimed. Claims no more of a provider in this
 * round once a revocation there has to wait, so that a provider that hangs delays no other.
 */
export async function revokeDue(context: VaultContext, limit = 10): Promise<number> {
  const waiting = new Set<string>();
  let claimed = 0;
  for (let rounds = 0; rounds < revocationRoundsMax; rounds += 1) {
    const claim = { limit, holdMs: context.times.revocationHoldMs, exceptProviders: [...waiting] };
    const due = await changing(context, ({ tx }) => claimDueRevocations(tx, claim));
    claimed += due.length;
    // All at once, and each by itself: one that hangs or fails keeps no other.
    await Promise.all(
      due.map(async (entry) => {
        try {
          if ((await endOf(context, entry)).revocation === 'queued') waiting.add(entry.provider);
        } catch (error) {
          const { tenant, provider } = entry;
          waiting.add(provider);
          context.logger.warn('a revocation failed and is tried again', { tenant, provider, code: codeOf(error) });
        }
      }),
    );
    if (due.length < limit) break;
  }
  return claimed;
}

/** The number of claims in one round of {@link revokeDue}. */
const revocationRoundsMax = 100;

/** True if revoking one token of a provider ends every grant of that account to the app. In doubt it does. */
export async function revokesAccount(context: VaultContext, provider: string): Promise<boolean> {
  try {
    return (await context.providers.get(provider))?.refreshToken.revocationEnds === 'account';
  } catch (error) {
    if (isGrantryError(error, 'storage_unavailable')) throw error;
    return true;
  }
}

/** A refresh token that may be revoked. */
interface TokenToRevoke {
  readonly tenant: string;
  readonly provider: string;
  readonly app: string | null;
  readonly fingerprint: string;
  readonly endsAccount: boolean;
}

/**
 * Lists the living grants that the revocation of a token would end. Several grants may hold one token: some providers issue
 * it again, and people import it twice. Some providers end all grants of an account together.
 */
export async function grantsEndedWith(db: Reader, token: TokenToRevoke): Promise<GrantKey[]> {
  const holders = [
    ...(await grantsWithRefreshToken(db, token.fingerprint)),
    ...(await grantsWithCandidate(db, token.fingerprint)),
    ...(token.endsAccount ? await grantsOfApp(db, token) : []),
  ];
  return distinctKeys(holders.map((row) => ({ tenant: row.client_id, provider: row.provider, account: row.account })));
}

function distinctKeys(keys: readonly GrantKey[]): GrantKey[] {
  return [...new Map(keys.map((key) => [`${key.tenant}/${key.provider}/${key.account ?? ''}`, key])).values()];
}

/**
 * Brings a claimed revocation to its end, or schedules its next try. Every revocation goes through here: after a
 * disconnect, an abandoned connection, a late answer, or from the queue.
 *
 * The token of a living grant is dropped in the transaction that finds this grant. It waits while an open connect session
 * may lead to such a grant.
 */
async function endOf(
  context: VaultContext,
  entry: RevocationRow,
  { isOrdered = false }: { isOrdered?: boolean } = {},
): Promise<Disconnected> {
  const { tenant, id, provider, app, token_fingerprint: fingerprint } = entry;
  const endsAccount = !isOrdered && (await revokesAccount(context, provider));
  const token: TokenToRevoke = { tenant, provider, app, fingerprint, endsAccount };
  const sharedWith = await changing(context, async ({ tx }) => {
    const ended = await grantsEndedWith(tx, token);
    if (ended.length > 0) await deleteRevocation(tx, { tenant, id });
    return ended;
  });
  if (sharedWith.length > 0) return leftToOthers(context, entry, sharedWith);
  if (endsAccount && (await isConnecting(context.store.db, { tenant, provider, app }))) return { revocation: 'queued' };
  return revokeQueued(context, entry, token);
}

/** Reports a token that stays alive at the provider, because others hold it. */
async function leftToOthers(
  context: VaultContext,
  { tenant, provider }: RevocationRow,
  sharedWith: readonly GrantKey[],
): Promise<Disconnected> {
  await shredTenantIfEmpty(context, tenant);
  context.logger.warn('a token was not revoked, because that would end a living grant', { tenant, provider });
  return { revocation: 'shared', sharedWith };
}

/** Tries to revoke a queued token at the provider. Then deletes the entry, or schedules the next try. */
async function revokeQueued(context: VaultContext, entry: RevocationRow, token: TokenToRevoke): Promise<Disconnected> {
  const { tenant, id, provider, attempts } = entry;
  const outcome = await tryToRevoke(context, entry, token);
  if (outcome.kind === 'later' && (await context.store.nowMs()) < entry.deadline_at) {
    const { revocationPauseMs, revocationPauseMsMax } = context.times;
    const pauseMs = Math.min(revocationPauseMsMax, revocationPauseMs * 2 ** Math.min(10, attempts - 1));
    const delayMs = Math.max(outcome.retryAfterMs ?? 0, pauseMs);
    await changing(context, ({ tx }) => rescheduleRevocation(tx, { tenant, id, attempts, delayMs }));
    return { revocation: 'queued' };
  }
  const counts = outcome.kind !== 'shared' && (await isCounted(context, provider));
  await changing(context, async (change) => {
    await deleteRevocation(change.tx, { tenant, id });
    if (counts) await endRevocation(change, entry, outcome.kind === 'revoked');
  });
  if (counts) await recheckSlots(context, { ...entry, user: entry.consent_user });
  if (outcome.kind === 'shared') return leftToOthers(context, entry, outcome.sharedWith);
  await shredTenantIfEmpty(context, tenant);
  if (outcome.kind === 'revoked') return { revocation: 'revoked' };
  context.logger.warn('a token was shredded without being revoked', { tenant, provider, outcome: outcome.kind });
  return { revocation: 'not_supported' };
}

async function tryToRevoke(
  context: VaultContext,
  entry: RevocationRow,
  held: TokenToRevoke,
): Promise<RevokeOutcome | { readonly kind: 'shared'; readonly sharedWith: readonly GrantKey[] }> {
  const { tenant, provider } = entry;
  const deadline = deadlineSignal(context, context.times.callerWaitMs);
  try {
    const definition = await context.providers.require(provider);
    const app = await appFor(context, { tenant, provider, app: entry.app });
    const dc = grantDc({ definition, metadata: metadataOfPlace(entry.dc), app });
    const client = await clientOf(context, definition, app, dc);
    const token = (await context.keys.pin(tenant)).open(revocationPlace(entry), entry.token);
    // A grant may have got this token since the entry was claimed. Nothing but the request comes after this look.
    const sharedWith = await grantsEndedWith(context.store.db, held);
    if (sharedWith.length > 0) return { kind: 'shared', sharedWith };
    return await sendRevoke(context.world, client, { token, tokenType: 'refresh_token', signal: deadline.signal });
  } catch (error) {
    // A provider that is down, or an app that is misconfigured today, is no reason to forget a living token.
    const known = isGrantryError(error) || error instanceof NotSentError;
    context.logger.warn('a token could not be revoked yet', { tenant, provider, known });
    return { kind: 'later', retryAfterMs: null };
  } finally {
    deadline.clear();
  }
}

/** The place of a queued token: it opens only beside the provider, account, app and data centre that it was queued for. */
export function revocationPlace(row: Pick<RevocationRow, 'id' | 'provider' | 'account' | 'app' | 'dc'>): SealPlace {
  return { table: 'grantry_revocations', row: row.id, column: 'token', generation: 0, facts: factsOfQueued(row) };
}
