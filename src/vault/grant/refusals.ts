import { GrantryError, type GrantryErrorCode } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';

/** There is no such grant, or it was disconnected: for the caller the two are one. */
export function noSuchGrant(key: CheckedKey): GrantryError {
  const account = key.account === 'default' ? '' : ` (account ${key.account})`;
  return new GrantryError('grant_not_found', `${key.tenant} has no grant at ${key.provider}${account}.`, {
    action: `Connect it: grantry connect ${key.tenant} ${key.provider}`,
  });
}

/** This process ends, and begins nothing that it could not finish. */
export function stopping(context: VaultContext): GrantryError {
  return new GrantryError('provider_unavailable', 'This process is stopping, and begins no refresh any more.', {
    retryAfterMs: context.times.retryBackOffMs,
  });
}

const reasonTexts: Record<string, string> = {
  [reasons.refused]: 'the provider refused its refresh token twice',
  revoked: 'the provider says it was revoked',
  [reasons.lostRotation]: 'the provider replaced its refresh token, and the answer with the new one never reached us',
  [reasons.noRefreshToken]: 'the provider gave no refresh token with it',
};

/** The grant is over, and why. */
export function mustReauthorize(row: Pick<GrantRow, 'client_id' | 'provider' | 'reason'>): GrantryError {
  const reason = reasonTexts[row.reason ?? ''] ?? 'the provider no longer accepts its refresh token';
  return new GrantryError(
    'reauthorization_required',
    `The grant of ${row.client_id} at ${row.provider} is over: ${reason} (${row.reason ?? reasons.refused}).`,
    {
      action: `${row.client_id} must connect again: grantry connect ${row.client_id} ${row.provider}`,
    },
  );
}

/** Reasons that stand in an active row while a failure without harm holds the next try back. */
const backOffReasons = [
  'provider_unavailable',
  'provider_throttled',
  'provider_misconfigured',
  'provider_error',
  'insufficient_scope',
] as const satisfies readonly GrantryErrorCode[];

/** Says whether nothing may be sent for a grant now, and why. */
export async function refreshBlocker(context: VaultContext, row: GrantRow): Promise<GrantryError | undefined> {
  if (row.state === 'disconnected') {
    return noSuchGrant({ tenant: row.client_id, provider: row.provider, account: row.account });
  }
  if (row.state === 'reauthorization_required') return mustReauthorize(row);
  if (row.retry_at === null) return undefined;
  const retryAfterMs = row.retry_at - (await context.store.nowMs());
  if (retryAfterMs <= 0) return undefined;
  const code = backOffReasons.find((each) => each === row.reason);
  if (row.state === 'active' && code !== undefined) {
    return new GrantryError(code, `The last refresh failed (${code}); the next try is held back.`, { retryAfterMs });
  }
  const isRefused = row.state === 'suspect' || row.reason === reasons.candidate || row.reason === reasons.storedRefused;
  const what = isRefused
    ? 'The provider refused the refresh token once; that is being confirmed.'
    : 'A refresh was sent and its answer was lost.';
  return new GrantryError('refresh_uncertain', what, { retryAfterMs });
}
