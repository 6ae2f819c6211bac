import type { Secret } from '../base/secret.ts';
import type { ErrorClass, ProviderDefinition } from '../providers/definition.ts';

/** A client of one provider: one app in one data centre, with its opened secret. */
export interface OAuthClient {
  readonly definition: ProviderDefinition;
  /** The data centre; `null` where the provider has none. */
  readonly dc: string | null;
  readonly clientId: string;
  /** The secret for this data centre (a PEM private key for `private_key_jwt`); `null` for public clients. */
  readonly clientSecret: Secret | null;
}

/** The token endpoint's answer before it is interpreted; the spool stores this. */
export interface RawAnswer {
  readonly status: number;
  readonly contentType: string | null;
  readonly retryAfter: string | null;
  /** The body as text, decompressed, cut at `limits.answerBytesMax`. */
  readonly body: Secret | null;
  /** Set when the body ended too early, was longer than allowed, or could not be decompressed. */
  readonly incomplete: boolean;
  /** Time immediately before the request was sent, in milliseconds since 1970: lifetimes count from here. */
  readonly requestedAt: number;
}

/** Tokens as a provider returned them. */
export interface TokenSet {
  readonly accessToken: Secret;
  /** The refresh token; `null` when the answer has none and the stored one stays valid (RFC 6749 section 6). */
  readonly refreshToken: Secret | null;
  readonly tokenType: string;
  /** Milliseconds since 1970; never later than the true expiry. */
  readonly expiresAt: number;
  /**
   * The granted scopes; `null` when the answer names none: all requested scopes were granted (RFC 6749 section 5.1).
   */
  readonly scopes: readonly string[] | null;
  /** Captured members that passed their checks, such as `api_domain`; named as in the grant's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Meaning of a token endpoint's answer. */
export type TokenOutcome =
  | {
      readonly kind: 'tokens';
      readonly tokens: TokenSet;
      /** One line for each captured member that failed its check and was dropped. */
      readonly notes: readonly string[];
    }
  | {
      readonly kind: 'refused';
      readonly class: ErrorClass;
      /** The provider's own error code, cut and cleaned for display. */
      readonly error: string | null;
      /** The harmless words of what else the provider says of the cause. */
      readonly said: string | null;
      readonly status: number;
      readonly retryAfterMs: number | null;
    }
  /** The answer is cut, too large or unreadable, so the request may or may not have been processed. */
  | { readonly kind: 'unknown'; readonly reason: string; readonly status: number | null };
