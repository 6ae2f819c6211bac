import type { ConnectSession } from '../../schemas/connect-session.ts';

/** The reasons to stop a browser. Each has a page that says what to do. */
export type ConnectRefusal =
  /** For a link. */
  | 'unknown_link'
  | 'expired_link'
  | 'used_link'
  | 'connected_already'
  | 'link_of_another_browser'
  | 'started_too_often'
  /** For a callback. */
  | 'unreadable_callback'
  | 'unknown_state'
  | 'used_state'
  | 'expired_state'
  | 'state_of_a_terminal'
  | 'state_of_another_browser'
  | 'state_of_another_app'
  | 'not_from_the_provider'
  | 'not_registered_there'
  | 'changed_meanwhile'
  | 'finished_already';

export interface Refused {
  readonly kind: 'refused';
  readonly reason: ConnectRefusal;
}

/** The offer on the page that a link opens. */
export interface ConnectOffer {
  readonly kind: 'offer';
  readonly session: ConnectSession;
  readonly providerName: string;
  /** The organisation at the provider, once the grant is stored and the provider has told it. */
  readonly orgName?: string | undefined;
}

/** The outcome of a callback. */
export type ConnectOutcome =
  | Refused
  /** The provider or the exchange failed; the link can be tried again. */
  | { readonly kind: 'ended'; readonly session: ConnectSession; readonly error: string }
  /** The tokens wait for the tenant's backend. */
  | { readonly kind: 'pending'; readonly session: ConnectSession; readonly completionCode: string }
  | { readonly kind: 'completed'; readonly session: ConnectSession };

/** The provider's errors that the tenant's backend may see. Any other becomes `provider_error`. */
const providerErrors = new Set([
  'access_denied',
  'invalid_request',
  'invalid_scope',
  'server_error',
  'temporarily_unavailable',
  'unauthorized_client',
  'unsupported_response_type',
  'consent_required',
  'interaction_required',
  'login_required',
]);

/** The error of a session whose browser came back without a grant, as the tenant's backend may see it. */
export function shownError(fromProvider: string | null, ours: string): string {
  const named = fromProvider ?? ours;
  return fromProvider === null || providerErrors.has(named) ? named : 'provider_error';
}

export function refused(reason: ConnectRefusal): Refused {
  return { kind: 'refused', reason };
}
