import type { ErrorClass, ErrorRule, ProviderDefinition } from './definition.ts';

/** An error answer of the token or revocation endpoint, as far as it could be read. */
export interface EndpointAnswer {
  /** The request that was answered. */
  readonly on: 'exchange' | 'refresh' | 'revoke';
  readonly status: number;
  /** The body's `error`; `null` when there is none. */
  readonly error: string | null;
  /** The body's `error_description`. */
  readonly description?: string | null | undefined;
  /** Set to `false` for a body that the endpoint does not send itself: an HTML page, an empty or a cut one. */
  readonly readable?: boolean | undefined;
}

/**
 * Classifies an error answer: by the definition's rules in their order, then by RFC 6749 section 5.2 and the status.
 *
 * `grant_refused` refers to the sent value: the code on `exchange`, the refresh token on `refresh`, a token that is
 * already dead on `revoke`. It requires a recognised error and a healthy server: never a 5xx, a 429 or an unreadable
 * page. An unrecognised answer is `not_understood`.
 */
export function classify(definition: ProviderDefinition, answer: EndpointAnswer): ErrorClass {
  const found = definition.errors.find((rule) => ruleMatches(rule, answer))?.class ?? standard(answer);
  if (found !== 'grant_refused') return found;
  if (answer.readable === false) return 'unavailable';
  return byStatus(answer.status) ?? found;
}

function ruleMatches(rule: ErrorRule, answer: EndpointAnswer): boolean {
  if (rule.on !== undefined && rule.on !== answer.on) return false;
  if (rule.status !== undefined && rule.status !== answer.status) return false;
  if (rule.error !== undefined && !sameText(rule.error, answer.error)) return false;
  return rule.description === undefined || contains(answer.description, rule.description);
}

const standardErrors: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['invalid_grant', 'grant_refused'],
  ['invalid_client', 'client_refused'],
  ['unauthorized_client', 'client_refused'],
  ['unsupported_grant_type', 'client_refused'],
  ['unsupported_token_type', 'client_refused'],
  ['invalid_request', 'client_refused'],
  ['invalid_redirect_uri', 'client_refused'],
  ['redirect_uri_mismatch', 'client_refused'],
  ['invalid_scope', 'scope_refused'],
  ['slow_down', 'throttled'],
  ['temporarily_unavailable', 'unavailable'],
  ['server_error', 'unavailable'],
]);

function standard(answer: EndpointAnswer): ErrorClass {
  const known = answer.error === null ? undefined : standardErrors.get(answer.error.toLowerCase());
  if (known !== undefined) return known;
  const status = byStatus(answer.status);
  if (status !== null) return status;
  return answer.readable === false ? 'unavailable' : 'not_understood';
}

function byStatus(status: number): ErrorClass | null {
  if (status === 429) return 'throttled';
  return status >= 500 || status === 408 || status === 425 ? 'unavailable' : null;
}

function sameText(a: string, b: string | null): boolean {
  return b !== null && a.trim().toLowerCase() === b.trim().toLowerCase();
}

function contains(text: string | null | undefined, part: string): boolean {
  return typeof text === 'string' && text.toLowerCase().includes(part.toLowerCase());
}
