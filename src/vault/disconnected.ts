import type { GrantKey } from '../base/ids.ts';
import type { revocations } from '../schemas/words.ts';

/** The result of a disconnect. Local use has ended in every case. */
export interface Disconnected {
  /**
   * `revoked`; `queued` (the provider did not answer; retried later); `shared` (revoking it would end the grants in
   * `sharedWith`, so the token was only shredded here); `not_supported`; `nothing` to revoke; or `skipped`.
   */
  readonly revocation: (typeof revocations)[number];
  /** Present when `revocation` is `shared`: the living grants that would have ended too. */
  readonly sharedWith?: readonly GrantKey[];
}
