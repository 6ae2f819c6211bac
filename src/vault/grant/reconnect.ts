import { GrantryError, isGrantryError } from '../../base/errors.ts';
import type { CheckedKey, GrantKey } from '../../base/ids.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { ChangeTransaction } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';
import type { AccountComparison } from './account.ts';
import { livingTokens } from './living-tokens.ts';
import { grantsEndedWith, queueRevocation, revokeOfGrant } from './revocations.ts';

/**
 * Asserts that a consent without a refresh token may go on with the stored one. Both must name the same account, or
 * neither may name any: a token of one account beside data of another would mix two customers.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export function assertSameAccount(
  { tenant, provider }: Pick<CheckedKey, 'tenant' | 'provider'>,
  { relation, differs }: AccountComparison,
): void {
  if (relation === 'same' || (relation === 'unknown' && differs.length === 0)) return;
  const names = [...new Set(differs)].toSorted().join(', ');
  const why =
    relation === 'other'
      ? `is of another account than the grant of ${tenant} (${names})`
      : `cannot be told to be of the same account as the grant of ${tenant} (only one of them names ${names})`;
  throw new GrantryError(
    'authorization_failed',
    `The consent at ${provider} ${why}, and it brought no refresh token. The grant is unchanged.`,
    {
      action:
        "Sign in with the account of the grant. For another account, remove the app from that account's connected apps at the provider, then connect again.",
    },
  );
}

/**
 * The state of a grant that goes on with its stored refresh token, and the generation of its new access token.
 *
 * While a refresh is under way or in doubt, the generation stays: a late answer and its candidates belong to it.
 */
export function stateGoingOn({ state, generation, lease_owner: holder }: GrantRow) {
  if (state === 'active' && holder === null) return { generation: generation + 1, changes: {} };
  if (state !== 'reauthorization_required') return { generation, changes: {} };
  // The stored token was refused before this consent. The next refresh confirms it or brings the grant back.
  return { generation, changes: { state: 'suspect' as const, reason: reasons.refused, condemned_at: null } };
}

/**
 * Queues the tokens that a new consent replaces for revocation. Each living refresh token takes a place at a provider
 * that limits them. Returns true if it queued any.
 *
 * Without such a limit the old token stays: a definition that does not say otherwise is no proof that each consent has
 * tokens of its own.
 */
export async function queueReplaced(
  context: VaultContext,
  change: ChangeTransaction,
  grant: { old: GrantRow; definition: ProviderDefinition; tenantKeys: PinnedTenant; newFingerprint: string },
): Promise<boolean> {
  const { old, definition, tenantKeys, newFingerprint } = grant;
  const { revocationEnds, livePerUserAndClient } = definition.refreshToken;
  if (revocationEnds !== 'token' || livePerUserAndClient === null || old.state === 'disconnected') return false;
  const fingerprint = await fingerprinter(context);
  let queued = false;
  for (const { refreshToken, app: issuedTo } of await livingTokens(context, change, old, tenantKeys)) {
    const replaced = fingerprint(refreshToken);
    if (replaced === newFingerprint) continue;
    const app = issuedTo ?? old.app;
    const token = { tenant: old.client_id, provider: old.provider, app, fingerprint: replaced, endsAccount: false };
    const ended = await grantsEndedWith(change.tx, token);
    if (ended.some((key) => !isOf(old, key))) continue;
    await queueRevocation(context, change, { ...old, app }, { refreshToken, tenantKeys });
    queued = true;
  }
  return queued;
}

function isOf(row: GrantRow, { tenant, provider, account }: GrantKey): boolean {
  return row.client_id === tenant && row.provider === provider && row.account === account;
}

/** Revokes queued tokens now. A failure is left to the queue: the new tokens are stored. */
export async function revokeReplaced(context: VaultContext, grant: { tenant: string; grantId: string }): Promise<void> {
  try {
    await revokeOfGrant(context, grant);
  } catch (error) {
    if (!isGrantryError(error)) throw error;
    context.logger.warn('a replaced token could not be revoked yet', { tenant: grant.tenant, code: error.code });
  }
}
