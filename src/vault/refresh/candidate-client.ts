import { GrantryError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { TokenOutcome } from '../../oauth/types.ts';
import { finishAttempt } from '../../storage/statements/attempts.ts';
import { releaseLease } from '../../storage/statements/leases.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { refusalDetail, refusalWords } from '../grant/provider-failures.ts';
import type { Claim } from './claim.ts';

/**
 * Client credentials from a caller that differ from those of the grant's app.
 *
 * They are tested with one real refresh, and stored only if the provider accepts them. A refusal counts only against
 * the candidate, so a caller with a wrong secret, or another tenant's, cannot harm the grant.
 */
export interface CandidateClient {
  /** Identifies the candidate among those of its grant, without revealing the secret. */
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  /** Provides the data centre if the grant does not. */
  readonly app: { readonly dc: string | null } | null;
  /** Called after its tokens are saved. */
  onAccepted(grant: { readonly id: string; readonly dc: string | null }): Promise<void>;
}

type Refusal = Extract<TokenOutcome, { kind: 'refused' }>;

/** Tells whether a refusal concerns the candidate, or this token in combination with the candidate. */
export function refusesCandidateClient(outcome: Refusal): boolean {
  return outcome.class === 'client_refused' || outcome.class === 'grant_refused';
}

/** Ends the attempt of a refused candidate and releases the lease. The grant is unchanged. Returns the error to throw. */
export async function settleRefusedCandidateClient(
  context: VaultContext,
  claim: Claim,
  outcome: Refusal,
): Promise<GrantryError> {
  await changing(context, async ({ tx }) => {
    const { tenant } = claim.lease;
    // The grant's row first, as in a claim: any other order could deadlock.
    await releaseLease(tx, claim.lease);
    await finishAttempt(tx, { tenant, id: claim.attemptId, outcome: 'failed', detail: refusalWords(outcome) });
  });
  const reason = refusalDetail(outcome);
  if (outcome.class === 'client_refused') {
    return new GrantryError(
      'provider_misconfigured',
      `The provider refuses the given client credentials (${reason}).`,
      {
        action:
          'Pass the client id and secret that are registered at the provider. The stored credentials are unchanged.',
        reason: 'client_refused',
      },
    );
  }
  return new GrantryError(
    'reauthorization_required',
    `The provider does not accept this refresh token from the given client (${reason}).`,
    {
      action: 'Pass the client that the tenant connected with. If it is the same one, connect the tenant again.',
      reason: 'refused',
    },
  );
}
