import { errorReasonOf } from '../../base/error-reasons.ts';
import { GrantryError, type GrantryErrorCode, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, commandFor, defaultAccount } from '../../base/ids.ts';
import { grantDc } from '../../providers/data-centre.ts';
import { type AttemptRow, listAttempts, mayStillAnswer } from '../../storage/statements/attempts.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { appFor } from '../app/apps.ts';
import { compartmentOf } from '../bulkhead.ts';
import type { VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';
import {
  actionFor,
  type FailureClass,
  failureText,
  lastRefusal,
  lastWords,
  providerFailures,
  type RefusedClient,
} from './provider-failures.ts';

/** The part of a grant's row that names it in errors. */
type Named = Pick<GrantRow, 'client_id' | 'provider' | 'account'>;

/** Names a grant in an error. */
export function nameOf(row: Named): string {
  return `the grant of ${row.client_id} at ${row.provider}${labelOf(row)}`;
}

/** Tells one account of a tenant from its `default`. */
function labelOf({ account }: Pick<GrantRow, 'account'>): string {
  return account === defaultAccount ? '' : ` (account ${account})`;
}

function keyOf({ client_id: tenant, provider, account }: Named): CheckedKey {
  return { tenant, provider, account };
}

/** The error for a first refusal, which the vault still has to confirm. */
export function refusedOnce(row: Named, retryAfterMs: number, words: string | null = null): GrantryError {
  const told = words === null ? '' : ` (${words})`;
  const text = `${row.provider} refused the refresh token of ${row.client_id}${labelOf(row)} once${told}. A second try confirms or disproves that.`;
  return new GrantryError('refresh_uncertain', text, { retryAfterMs, reason: 'refused' });
}

/** The cause of an error about an answer that arrived and is of no use; the message says why. */
export class UselessAnswerError extends Error {}

/** The words in an attempt's row where no answer came. */
export const wordsOfLoss = 'the answer was lost';

/** Returns the fault of the answer to the newest attempt; undefined if none came. */
function uselessAnswer([newest]: readonly AttemptRow[]): UselessAnswerError | undefined {
  if (newest?.outcome !== 'unknown' || mayStillAnswer(newest)) return undefined;
  const { detail } = newest;
  return detail === null || detail === wordsOfLoss ? undefined : new UselessAnswerError(detail);
}

/** The error for a refresh whose outcome is unknown. */
export function answerLost(row: Named, retryAfterMs: number, cause?: unknown): GrantryError {
  const isUseless = cause instanceof UselessAnswerError;
  const why = isUseless ? cause.message : 'its answer was lost';
  const text = `A refresh of ${nameOf(row)} was sent, and ${why}.`;
  const reason = isUseless ? 'unusable_answer' : 'answer_lost';
  return new GrantryError('refresh_uncertain', text, { cause, retryAfterMs, reason });
}

/** The error for a grant whose newest answer the database refuses to save. */
export function answerSetAside(row: Named, retryAfterMs: number): GrantryError {
  const text = `The database refuses to save the last answer for ${nameOf(row)}. The answer waits in the spool.`;
  return new GrantryError('refresh_uncertain', text, {
    retryAfterMs,
    action: recoverAction(row),
    reason: 'answer_refused',
  });
}

/** The error for a grant whose newest answer may be in a file that this process may not read. */
export function answerUnreadable(row: Named, path: string): GrantryError {
  const text = `The last answer for ${nameOf(row)} may be in ${path}, which cannot be read.`;
  return new GrantryError('refresh_uncertain', text, {
    action: `Make ${path} readable for the user that runs Grantry.`,
  });
}

function recoverAction(row: Named): string {
  return `Mend the cause, which the log names, then run: ${commandFor('recover', keyOf(row))}`;
}

/** The error for a grant that does not exist or was disconnected. Callers need not tell the two apart. */
export function noSuchGrant(key: CheckedKey): GrantryError {
  return new GrantryError('grant_not_found', `${key.tenant} has no grant at ${key.provider}${labelOf(key)}.`, {
    action: `Connect it: ${commandFor('connect', key)}`,
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
export function mustReauthorize(row: Named & Pick<GrantRow, 'reason'>, words: string | null = null): GrantryError {
  const reason = row.reason ?? reasons.refused;
  const text = reasonTexts[reason] ?? 'the provider no longer accepts its refresh token';
  const told = words === null ? '' : `; it said: ${words}`;
  return new GrantryError(
    'reauthorization_required',
    `The grant of ${row.client_id} at ${row.provider}${labelOf(row)} has ended: ${text} (${reason})${told}.`,
    {
      action: `${row.client_id} must connect again: ${commandFor('connect', keyOf(row))}`,
      reason: errorReasonOf(reason),
    },
  );
}

/** Reasons in an active row while the next try waits after a failure without harm. */
const backOffReasons = [
  'provider_unavailable',
  'provider_throttled',
  'provider_misconfigured',
  'provider_error',
  'insufficient_scope',
] as const satisfies readonly GrantryErrorCode[];

/** Reasons in a row whose next try waits until the provider is well again. */
export const outageReasons: readonly string[] = ['provider_unavailable', 'provider_error', reasons.answerLost];

/** The reason why no refresh of a grant may begin now. */
export interface Blocker {
  readonly error: GrantryError;
  /** True if this call goes on in spite of the back-off, to learn if the provider is well again. */
  readonly isProbe: boolean;
}

/** Returns what forbids a refresh of a grant now, or undefined. */
export async function refreshBlocker(context: VaultContext, row: GrantRow): Promise<Blocker | undefined> {
  if (row.state === 'disconnected') {
    return blocked(noSuchGrant(keyOf(row)));
  }
  if (row.state === 'reauthorization_required') {
    return blocked(mustReauthorize(row, lastRefusal(await attemptsOn(context, row))));
  }
  if (row.retry_at === null) return undefined;
  const now = await context.store.nowMs();
  if (row.retry_at <= now) return undefined;
  const probeInMs = timeUntilProbe(context, row, now);
  if (probeInMs <= 0) context.bulkheads.takeProbe(compartmentOf(row));
  const toldMs = Math.max(1, Math.min(row.retry_at - now, probeInMs));
  return { error: await backOffError(context, row, toldMs), isProbe: probeInMs <= 0 };
}

/** Lists the attempts on a grant, whose words the next callers should hear too. */
function attemptsOn({ store }: VaultContext, row: GrantRow): Promise<AttemptRow[]> {
  return listAttempts(store.db, { tenant: row.client_id, grantId: row.id, generation: row.generation });
}

function blocked(error: GrantryError): Blocker {
  return { error, isProbe: false };
}

/**
 * Returns the time until a grant in back-off may probe its provider, since a caller waits for its token. No caller waits while
 * the stored token lives. A back-off that the provider asked for is obeyed. So is one that protects a request under way:
 * its lease is still held.
 */
function timeUntilProbe({ times, bulkheads, world }: VaultContext, row: GrantRow, now: number): number {
  if (row.token_expiry !== null && Date.parse(row.token_expiry) > world.now()) return Number.POSITIVE_INFINITY;
  const { retry_at: retryAt, changed_at: failedAt, reason } = row;
  const isOutage = ['active', 'uncertain'].includes(row.state) && outageReasons.includes(reason ?? '');
  const backOffMs = (retryAt ?? now) - failedAt;
  if (!isOutage || row.lease_owner !== null || backOffMs > times.retryBackOffMsMax) return Number.POSITIVE_INFINITY;
  const ownMs = failedAt + Math.min(backOffMs, times.breakerPauseMsMax) - now;
  return Math.max(ownMs, bulkheads.probeInMs(compartmentOf(row)));
}

async function backOffError(context: VaultContext, row: GrantRow, retryAfterMs: number): Promise<GrantryError> {
  const attempts = await attemptsOn(context, row);
  const words = lastWords(attempts);
  const code = backOffReasons.find((each) => each === row.reason);
  const kind = failureClasses.find((each) => providerFailures[each][0] === code);
  if (row.state === 'active' && code !== undefined && kind !== undefined) {
    const client = kind === 'client_refused' ? await clientOf(context, row) : { provider: row.provider };
    const told = words === null ? '' : ` (${words})`;
    return new GrantryError(
      code,
      `The last refresh of ${nameOf(row)} failed: ${failureText(kind, client)}${told}. The next one waits for its back-off.`,
      { retryAfterMs, reason: kind, action: actionFor(kind, client) },
    );
  }
  if (row.reason === reasons.answerRefused) return answerSetAside(row, retryAfterMs);
  const isRefused = row.state === 'suspect' || row.reason === reasons.candidate || row.reason === reasons.storedRefused;
  return isRefused
    ? refusedOnce(row, retryAfterMs, lastRefusal(attempts))
    : answerLost(row, retryAfterMs, uselessAnswer(attempts));
}

/** The app of a grant and its data centre, which every caller hears of: one of them is to be mended. */
async function clientOf(context: VaultContext, row: GrantRow): Promise<RefusedClient> {
  const { client_id: tenant, provider, app: name } = row;
  try {
    const definition = await context.providers.require(provider);
    const app = await appFor(context, { tenant, provider, app: name });
    return { provider, app: app.name, dc: grantDc({ definition, metadata: metadataOf(row), app }) };
  } catch (error) {
    // What the refresh failed with matters more than what is missing by now.
    if (isGrantryError(error)) return { provider, app: name };
    throw error;
  }
}

const failureClasses = [
  'client_refused',
  'throttled',
  'unavailable',
  'scope_refused',
  'not_understood',
] as const satisfies readonly FailureClass[];
