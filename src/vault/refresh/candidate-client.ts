import { GrantryError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { TokenOutcome } from '../../oauth/types.ts';
import { finishAttempt } from '../../storage/statements/attempts.ts';
import { releaseLease } from '../../storage/statements/leases.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import type { Claim } from './claim.ts';

/**
 * A client that a caller handed in and that is not the grant's own client.
 *
 * A trial is one real refresh with it. The client is kept only if the provider accepts it. A refusal counts only against
 * this client: a caller with a wrong secret, or with another tenant's, cannot harm the grant.
 */
export interface CandidateClient {
  /** Identifies a trial of the grant; it reveals no secret. */
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  /** Names the data centre if the grant does not. */
  readonly app: { readonly dc: string | null } | null;
  /** Runs after the trial's tokens are saved. */
  onAccepted(grant: { readonly id: string; readonly dc: string | null }): Promise<void>;
}

type Refusal = Extract<TokenOutcome, { kind: 'refused' }>;

/** True if an answer refuses the client, or refuses this client the refresh token. */
export function refusesCandidateClient(outcome: Refusal): boolean {
  return outcome.class === 'client_refused' || outcome.class === 'grant_refused';
}

/** The provider's error code, if any, and its status. */
export function refusalDetail({ error, status }: Refusal): string {
  return error === null ? `status ${status}` : `${error}, status ${status}`;
}

/** Ends a refused trial: the grant is unchanged, and other refreshes are not delayed. Returns the error to throw. */
export async function settleRefusedCandidateClient(
  context: VaultContext,
  claim: Claim,
  outcome: Refusal,
): Promise<GrantryError> {
  await changing(context, async ({ tx }) => {
    const { tenant } = claim.lease;
    await finishAttempt(tx, { tenant, id: claim.attemptId, outcome: 'failed', detail: outcome.error });
    await releaseLease(tx, claim.lease);
  });
  const detail = refusalDetail(outcome);
  if (outcome.class === 'client_refused') {
    return new GrantryError('provider_misconfigured', `The provider refuses the client that you passed (${detail}).`, {
      action: 'Pass the client id and secret that the provider issued. The stored client is unchanged.',
    });
  }
  return new GrantryError(
    'reauthorization_required',
    `The provider refuses this refresh token to the client that you passed (${detail}).`,
    { action: 'Pass the client that the tenant connected with. If you did, connect the tenant again.' },
  );
}
