import type { GrantryError } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { OAuthClient } from '../../oauth/types.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { AttemptRow } from '../../storage/statements/attempts.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import type { SpoolSlot } from '../spool/spool.ts';
import type { LeaseKind } from './lease-kind.ts';

/** Everything that a refresh needs after the claim, prepared before anything is spent. */
export interface RefreshPlan {
  readonly row: GrantRow;
  readonly definition: ProviderDefinition;
  readonly client: OAuthClient;
  /** The app of the client; null for a client that a caller handed in. */
  readonly appName: string | null;
  readonly tenantKeys: PinnedTenant;
  readonly refreshToken: Secret;
  readonly tokenFingerprint: string;
  /** The candidate whose token is tried; null for the stored token. */
  readonly candidateId: string | null;
  /** The app that the token was issued to, if the grant has got another one since; null for the grant's own. */
  readonly tokenApp: string | null;
  /** The fence of the attempt that brought that candidate. */
  readonly candidateFence: number | null;
  /** True if the candidate was the answer to the stored token. */
  readonly succeedsStored: boolean;
  /** The newest candidate when the token was chosen. */
  readonly newestCandidateId: string | null;
  /** Attempts on this generation so far, newest first. */
  readonly prior: readonly AttemptRow[];
  readonly leaseKind: LeaseKind;
  /** The time from the request until its answer must be complete. */
  readonly answerDeadlineMs: number;
  /** True if the grant was condemned and a kept token is tried again. */
  readonly recovering: boolean;
  readonly attemptId: string;
  readonly slot: SpoolSlot;
  /** Tells whether this host's spool received an earlier attempt's answer after the plan was made. */
  readonly isAnswered: () => boolean;
  /** True if the client is a candidate: its refusal decides nothing about the grant. */
  readonly isCandidateClient: boolean;
  /** The back-off in spite of which this refresh probes its provider; null if none holds. */
  readonly backOff: GrantryError | null;
}
