import type { ErrorReason } from '../../base/error-reasons.ts';
import { GrantryError, type GrantryErrorCode } from '../../base/errors.ts';
import type { ErrorClass } from '../../providers/definition.ts';
import type { AttemptRow } from '../../storage/statements/attempts.ts';

/** Classes of answers that are not about the grant. */
export type FailureClass = Exclude<ErrorClass, 'grant_refused'>;

/** The code and the text for each class of answers that is not about the grant. */
export const providerFailures = {
  client_refused: ['provider_misconfigured', 'refuses'],
  throttled: ['provider_throttled', 'throttles token requests'],
  unavailable: ['provider_unavailable', 'is unavailable'],
  scope_refused: ['insufficient_scope', 'refuses the requested scopes'],
  not_understood: ['provider_error', 'sent an answer that was not recognised'],
} as const satisfies Record<FailureClass, readonly [GrantryErrorCode, string]>;

/** The parts of a refusal that may be shown. */
export interface Refusal {
  readonly error: string | null;
  readonly said?: string | null;
  readonly status: number;
}

/** The client that was refused, as far as it is known. */
export interface RefusedClient {
  readonly provider: string;
  readonly app?: string | null | undefined;
  readonly dc?: string | null | undefined;
}

/** The error for an answer of that class. */
export function providerFailure(
  kind: FailureClass,
  refusal: Refusal,
  client: RefusedClient,
  retryAfterMs: number | undefined,
): GrantryError {
  const [code] = providerFailures[kind];
  const text = `${failureText(kind, client)} (${refusalDetail(refusal)}).`;
  const reason: ErrorReason = kind;
  return new GrantryError(code, text, { retryAfterMs, reason, action: actionFor(kind, client) });
}

/** Says what a provider does at a failure of that class. */
export function failureText(kind: FailureClass, { provider, app, dc }: RefusedClient): string {
  const [, text] = providerFailures[kind];
  if (kind !== 'client_refused') return `${provider} ${text}`;
  const named = typeof app === 'string' ? `the app ${app}` : 'the client of the grant';
  return `${provider} ${text} ${named}${typeof dc === 'string' ? ` in the data centre ${dc}` : ''}`;
}

/** Names the app to mend; undefined where the action of the code says enough. */
export function actionFor(kind: FailureClass, { app, dc }: RefusedClient): string | undefined {
  if (kind !== 'client_refused' || typeof app !== 'string') return undefined;
  const centre =
    typeof dc === 'string'
      ? ` The registration must be enabled for the data centre ${dc}, where its secret may be another one.`
      : '';
  return `Correct the client id, secret or redirect URI of the app ${app}.${centre} No grant is harmed.`;
}

/** The provider's error code and words, if any, and its status. */
export function refusalDetail(refusal: Refusal): string {
  const words = refusalWords(refusal);
  return words === null ? `status ${refusal.status}` : `${words}, status ${refusal.status}`;
}

/** The provider's error code and words, for the attempt's row. */
export function refusalWords({ error, said }: Refusal): string | null {
  const words = [error, said ?? null].filter((text) => text !== null && text !== '');
  return words.length === 0 ? null : words.join(': ');
}

const toldBy: ReadonlySet<AttemptRow['outcome']> = new Set(['failed', 'refused', 'unknown', 'not_sent']);

/** The provider's words of the newest refusal; null without one. What else happened since says nothing about a refusal. */
export function lastRefusal(attempts: readonly AttemptRow[]): string | null {
  return attempts.find(({ outcome }) => outcome === 'refused')?.detail ?? null;
}

/** The words of the newest attempt that tells any; null without one. @param attempts The newest first. */
export function lastWords(attempts: readonly AttemptRow[]): string | null {
  const [newest] = attempts;
  return newest !== undefined && toldBy.has(newest.outcome) ? newest.detail : null;
}
