import { isGrantryError } from '../../base/errors.ts';
import { newUuid } from '../../base/ids.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { type RevokeOutcome, sendRevoke } from '../../oauth/revoke.ts';
import { grantDc } from '../../providers/data-centre.ts';
import { isConnecting } from '../../storage/statements/connect-sessions.ts';
import { type GrantRow, grantsWithRefreshToken, hasGrantOfApp, metadataOf } from '../../storage/statements/grants.ts';
import {
  claimDueRevocations,
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
import { shredTenantIfEmpty } from './shred.ts';

/** The owner of a token to revoke: a grant, or (with `id` null) a connect session that never became a grant. */
export type Revocable = Pick<GrantRow, 'client_id' | 'provider' | 'account' | 'app' | 'metadata'> & {
  readonly id: string | null;
};

/** Queues a sealed refresh token for revocation, in the transaction that ends its use. */
export async function queueRevocation(
  context: VaultContext,
  change: ChangeTransaction,
  row: Revocable,
  token: { refreshToken: Secret; tenantKeys: PinnedTenant },
): Promise<void> {
  const id = newUuid(context.world);
  const fingerprint = await fingerprinter(context);
  const metadata = metadataOf(row);
  const dc = metadata['dc'];
  await insertRevocation(change.tx, {
    id,
    tenant: row.client_id,
    grant_id: row.id,
    provider: row.provider,
    account: row.account,
    app: row.app,
    dc: typeof dc === 'string' ? dc : null,
    token: token.tenantKeys.seal(sealContext(id), token.refreshToken),
    token_fingerprint: fingerprint(token.refreshToken),
    lifeMs: context.times.revocationLifeMs,
  });
}

/** Revokes the queued tokens of a disconnected grant now. */
export async function revokeOfGrant(
  context: VaultContext,
  grant: { tenant: string; grantId: string },
): Promise<'revoked' | 'queued' | 'not_supported' | 'nothing'> {
  const entries = await changing(context, ({ tx }) =>
    claimRevocationsOfGrant(tx, { ...grant, holdMs: context.times.revocationHoldMs }),
  );
  let result: 'revoked' | 'queued' | 'not_supported' | 'nothing' = 'nothing';
  for (const entry of entries) result = await revokeQueued(context, entry);
  return result;
}

/** Revokes a few due tokens of any tenant. Returns the number of entries that it claimed. */
export async function revokeDue(context: VaultContext, limit = 10): Promise<number> {
  const due = await changing(context, ({ tx }) =>
    claimDueRevocations(tx, { limit, holdMs: context.times.revocationHoldMs }),
  );
  for (const entry of due) {
    if (!(await mustNotRevoke(context, entry))) await revokeQueued(context, entry);
  }
  return due.length;
}

/** True if revoking one token of a provider ends every grant of that account to the app. In doubt it does. */
export async function revokesAccount(context: VaultContext, provider: string): Promise<boolean> {
  try {
    return (await context.providers.get(provider))?.refreshToken.revocationEnds === 'account';
  } catch (error) {
    if (isGrantryError(error, 'storage_unavailable')) throw error;
    return true;
  }
}

/**
 * True if revoking a token would end a living grant. Some providers issue the same token again, and some end all grants
 * of an account together.
 */
export async function wouldEndGrant(
  db: VaultContext['store']['db'],
  token: { tenant: string; provider: string; app: string | null; fingerprint: string; endsAccount: boolean },
): Promise<boolean> {
  if ((await grantsWithRefreshToken(db, token.fingerprint)).length > 0) return true;
  return token.endsAccount && (await hasGrantOfApp(db, token));
}

/**
 * True if a queued token must not be revoked now. If its revocation would end a living grant, the token is dropped. It
 * waits while an open connect session may lead to such a grant.
 */
async function mustNotRevoke(context: VaultContext, entry: RevocationRow): Promise<boolean> {
  const { tenant, id, provider, app, token_fingerprint: fingerprint } = entry;
  const endsAccount = await revokesAccount(context, provider);
  const { db } = context.store;
  if (!(await wouldEndGrant(db, { tenant, provider, app, fingerprint, endsAccount }))) {
    return endsAccount && (await isConnecting(db, { tenant, provider, app }));
  }
  await changing(context, ({ tx }) => deleteRevocation(tx, { tenant, id }));
  context.logger.warn('a token was not revoked, because that would end a living grant', { tenant, provider });
  return true;
}

/** Tries to revoke a queued token at the provider. Then deletes the entry, or schedules the next try. */
async function revokeQueued(
  context: VaultContext,
  entry: RevocationRow,
): Promise<'revoked' | 'queued' | 'not_supported'> {
  const { tenant, id, provider, attempts } = entry;
  const outcome = await tryToRevoke(context, entry);
  if (outcome.kind === 'later' && (await context.store.nowMs()) < entry.deadline_at) {
    const { revocationPauseMs, revocationPauseMsMax } = context.times;
    const pauseMs = Math.min(revocationPauseMsMax, revocationPauseMs * 2 ** Math.min(10, attempts - 1));
    const delayMs = Math.max(outcome.retryAfterMs ?? 0, pauseMs);
    await changing(context, ({ tx }) => rescheduleRevocation(tx, { tenant, id, attempts, delayMs }));
    return 'queued';
  }
  await changing(context, ({ tx }) => deleteRevocation(tx, { tenant, id }));
  await shredTenantIfEmpty(context, tenant);
  if (outcome.kind === 'revoked') return 'revoked';
  context.logger.warn('a token was shredded without being revoked', { tenant, provider, outcome: outcome.kind });
  return 'not_supported';
}

async function tryToRevoke(context: VaultContext, entry: RevocationRow): Promise<RevokeOutcome> {
  const { tenant, provider } = entry;
  const deadline = deadlineSignal(context, context.times.callerWaitMs);
  try {
    const definition = await context.providers.require(provider);
    const app = await appFor(context, { tenant, provider, app: entry.app });
    const dc = grantDc({ definition, metadata: entry.dc === null ? {} : { dc: entry.dc }, app });
    const client = await clientOf(context, definition, app, dc);
    const token = (await context.keys.pin(tenant)).open(sealContext(entry.id), entry.token);
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

function sealContext(id: string) {
  return { table: 'grantry_revocations', row: id, column: 'token', generation: 0 };
}
