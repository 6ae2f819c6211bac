import { GrantryError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { TokenOutcome } from '../../oauth/types.ts';
import { finishAttempt } from '../../storage/statements/attempts.ts';
import { releaseLease } from '../../storage/statements/leases.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import type { Claim } from './claim.ts';

/**
 * A client that came with a call and is not the one that a grant refreshes with.
 *
 * It is tried with one real refresh, and kept only when the provider took it. What the provider says against it is said
 * about the client alone: whoever hands in a wrong secret, or another tenant's, cannot harm the grant.
 */
export interface CandidateClient {
  /** Tells the trials of a grant apart; no secret can be read from it. */
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: Secret | null;
  /** Names the data centre where the grant does not. */
  readonly app: { readonly dc: string | null } | null;
  /** Called when the tokens that it brought are saved. */
  onAccepted(grant: { readonly id: string; readonly dc: string | null }): Promise<void>;
}

type Refusal = Extract<TokenOutcome, { kind: 'refused' }>;

/** True when an answer speaks against the client, or against this token in the hands of this client. */
export function refusesCandidateClient(outcome: Refusal): boolean {
  return outcome.class === 'client_refused' || outcome.class === 'grant_refused';
}

/** Ends a trial that was refused: the grant stays as it is, and nobody else is held back. Returns the error to throw. */
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
  const said = outcome.error === null ? `status ${outcome.status}` : `${outcome.error}, status ${outcome.status}`;
  if (outcome.class === 'client_refused') {
    return new GrantryError('provider_misconfigured', `The provider refuses the client that was handed in (${said}).`, {
      action: 'Hand in the client id and secret as the provider has them. What was stored before is unchanged.',
    });
  }
  return new GrantryError(
    'reauthorization_required',
    `The provider does not take this refresh token from the client that was handed in (${said}).`,
    { action: 'Hand in the client that the tenant connected with; if it is that one, the tenant must connect again.' },
  );
}
