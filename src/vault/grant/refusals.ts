import { GrantryError, type GrantryErrorCode } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { ErrorClass } from '../../providers/definition.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';

/** The part of a grant's row that names it in errors. */
type Named = Pick<GrantRow, 'client_id' | 'provider'>;

/** Names a grant in an error. */
export function nameOf(row: Named): string {
  return `the grant of ${row.client_id} at ${row.provider}`;
}

/** The error for a first refusal, which the vault still has to confirm. */
export function refusedOnce(row: Named, retryAfterMs: number): GrantryError {
  const text = `${row.provider} refused the refresh token of ${row.client_id} once. A second try confirms or disproves that.`;
  return new GrantryError('refresh_uncertain', text, { retryAfterMs });
}

/** The cause of an error about an answer that arrived and is of no use; the message says why. */
export class UselessAnswerError extends Error {}

/** The error for a refresh whose outcome is unknown. */
export function answerLost(row: Named, retryAfterMs: number, cause?: unknown): GrantryError {
  const why = cause instanceof UselessAnswerError ? cause.message : 'its answer was lost';
  const text = `A refresh of ${nameOf(row)} was sent, and ${why}.`;
  return new GrantryError('refresh_uncertain', text, { cause, retryAfterMs });
}

/** The error for a grant whose newest answer the database refuses to save. */
export function answerSetAside(row: Named, retryAfterMs: number): GrantryError {
  const text = `The database refuses to save the last answer for ${nameOf(row)}. The answer waits in the spool.`;
  return new GrantryError('refresh_uncertain', text, { retryAfterMs, action: recoverAction(row) });
}

/** The error for a grant whose newest answer may be in a file that this process may not read. */
export function answerUnreadable(row: Named, path: string): GrantryError {
  const text = `The last answer for ${nameOf(row)} may be in ${path}, which cannot be read.`;
  return new GrantryError('refresh_uncertain', text, {
    action: `Make ${path} readable for the user that runs Grantry.`,
  });
}

function recoverAction({ client_id: tenant, provider }: Named): string {
  return `Mend the cause, which the log names, then run: grantry recover ${tenant} ${provider}`;
}

/** The error for a grant that does not exist or was disconnected. Callers need not tell the two apart. */
export function noSuchGrant(key: CheckedKey): GrantryError {
  const account = key.account === 'default' ? '' : ` (account ${key.account})`;
  return new GrantryError('grant_not_found', `${key.tenant} has no grant at ${key.provider}${account}.`, {
    action: `Connect it: grantry connect ${key.tenant} ${key.provider}`,
  });
}

/** The error of a process that is stopping: it begins nothing that it could not finish. */
export function stopping(context: VaultContext): GrantryError {
  return new GrantryError('provider_unavailable', 'This process is stopping and starts no more refreshes.', {
    retryAfterMs: context.times.retryBackOffMs,
  });
}

const reasonTexts: Record<string, string> = {
  [reasons.refused]: 'the provider refused its refresh token twice',
  revoked: 'the provider says it was revoked',
  [reasons.lostRotation]: 'the provider replaced its refresh token, and the answer with the new one was lost',
  [reasons.noRefreshToken]: 'the provider issued no refresh token for it',
};

/** The error for a condemned grant, with its reason. */
export function mustReauthorize(row: Pick<GrantRow, 'client_id' | 'provider' | 'reason'>): GrantryError {
  const reason = reasonTexts[row.reason ?? ''] ?? 'the provider no longer accepts its refresh token';
  return new GrantryError(
    'reauthorization_required',
    `The grant of ${row.client_id} at ${row.provider} has ended: ${reason} (${row.reason ?? reasons.refused}).`,
    { action: `${row.client_id} must connect again: grantry connect ${row.client_id} ${row.provider}` },
  );
}

/** The code and the text for each class of answers that is not about the grant. */
export const providerFailures = {
  client_refused: ['provider_misconfigured', 'refuses the client credentials of the app'],
  throttled: ['provider_throttled', 'throttles token requests'],
  unavailable: ['provider_unavailable', 'is unavailable'],
  scope_refused: ['insufficient_scope', 'refuses the requested scopes'],
  not_understood: ['provider_error', 'sent an answer that was not recognised'],
} as const satisfies Record<Exclude<ErrorClass, 'grant_refused'>, readonly [GrantryErrorCode, string]>;

type Refusal = { readonly error: string | null; readonly status: number };

/** The error for an answer of that class. */
export function providerFailure(
  kind: keyof typeof providerFailures,
  refusal: Refusal,
  provider: string,
  retryAfterMs: number | undefined,
): GrantryError {
  const [code, text] = providerFailures[kind];
  return new GrantryError(code, `${provider} ${text} (${refusalDetail(refusal)}).`, { retryAfterMs });
}

/** The provider's error code, if any, and its status. */
export function refusalDetail({ error, status }: Refusal): string {
  return error === null ? `status ${status}` : `${error}, status ${status}`;
}

/** Reasons in an active row while the next try waits after a failure without harm. */
const backOffReasons = [
  'provider_unavailable',
  'provider_throttled',
  'provider_misconfigured',
  'provider_error',
  'insufficient_scope',
] as const satisfies readonly GrantryErrorCode[];

/** Returns the error that forbids a refresh of a grant now, or undefined. */
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
    return new GrantryError(
      code,
      `The last refresh of ${nameOf(row)} failed (${code}). The next one waits for its back-off.`,
      {
        retryAfterMs,
      },
    );
  }
  if (row.reason === reasons.answerRefused) return answerSetAside(row, retryAfterMs);
  const isRefused = row.state === 'suspect' || row.reason === reasons.candidate || row.reason === reasons.storedRefused;
  return isRefused ? refusedOnce(row, retryAfterMs) : answerLost(row, retryAfterMs);
}
