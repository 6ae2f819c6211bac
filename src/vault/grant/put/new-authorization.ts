import type { Secret } from '../../../base/secret.ts';
import type { AccountFacts } from '../../../oauth/account.ts';
import type { VaultEventType } from '../../types.ts';
import type { ConsentTime } from '../newest.ts';

/** Tokens of a new authorization, checked. */
export interface NewAuthorization {
  /** Null if the app is looked up when it is needed. */
  readonly app: string | null;
  /** The hash of the provider's place and the app's client when the tokens were asked for, or handed in. */
  readonly place?: string;
  readonly accessToken: Secret | null;
  /** Null if the provider issued none this time; the stored one stays. */
  readonly refreshToken: Secret | null;
  /** Further refresh tokens of a broken answer, likeliest first. Each is tried after the one before it was refused. */
  readonly candidates?: readonly Secret[];
  readonly tokenType: string | null;
  readonly expiresAtMs: number | null;
  /** When the access token was issued, if that was not now. */
  readonly obtainedAtMs?: number | null;
  readonly scopes: readonly string[];
  /** The scopes that were asked for. Left out for tokens that were stored by hand. */
  readonly asked?: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly event: VaultEventType;
  /** When the code of a consent was sent. An older consent never replaces a newer one. */
  readonly consented?: ConsentTime;
  /** Facts about the account of a consent. Left out for tokens that were stored by hand. */
  readonly account?: AccountFacts;
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}
