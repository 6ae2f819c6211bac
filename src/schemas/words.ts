/** The closed sets of words that the schemas and the vault share. This file loads nothing. */

export const grantStates = [
  'active',
  'uncertain',
  'suspect',
  'reauthorization_required',
  'quarantined',
  'disconnected',
] as const;

export const apiKeyRoles = ['admin', 'operator', 'reader', 'caller'] as const;

export const sessionStates = ['open', 'started', 'pending', 'completed', 'failed', 'expired'] as const;

export const revocations = ['revoked', 'queued', 'shared', 'not_supported', 'nothing', 'skipped'] as const;

export const recoverOutcomes = ['recovered', 'refused', 'under_way', 'failed', 'not_needed'] as const;

export const adoptOutcomes = ['refreshed', 'failed', 'not_probed'] as const;
