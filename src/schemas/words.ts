/** The closed sets of words that the schemas and the vault share. This file loads nothing. */

export const grantStates = [
  'active',
  'uncertain',
  'suspect',
  'reauthorization_required',
  'quarantined',
  'disconnected',
] as const;

/** The reasons for a grant's state, besides error codes: docs/errors.md explains each. */
export const grantReasons = [
  'answer_lost',
  'answer_refused',
  'other_attempt_open',
  'stored_refused',
  'candidate',
  'refused',
  'verdicts_suspended',
  'lost_rotation',
  'no_refresh_token',
  'invalid_name',
  'disconnected',
  'left_alive',
] as const;

export const apiKeyRoles = ['admin', 'operator', 'reader', 'caller', 'connector'] as const;

/** The methods of API calls, for which a key may be allowed or not. */
export const callMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

export type CallMethod = (typeof callMethods)[number];

export const sessionStates = ['open', 'started', 'pending', 'completed', 'failed', 'expired'] as const;

export const revocations = ['revoked', 'queued', 'shared', 'not_supported', 'nothing', 'skipped'] as const;

/** The fates of tokens that were handed in. Only an import passes over a tombstone. */
export const storeResults = ['imported', 'replaced', 'unchanged', 'kept', 'condemned', 'disconnected'] as const;

export type StoreResult = (typeof storeResults)[number];

export const recoverOutcomes = ['recovered', 'refused', 'under_way', 'failed', 'not_needed'] as const;

export const adoptOutcomes = ['refreshed', 'failed', 'not_probed', 'set_aside'] as const;
