import type { Secret } from '../base/secret.ts';
import type { ErrorClass, ProviderDefinition } from '../providers/definition.ts';

/** Everything needed to speak to one provider, for one app, in one data centre. */
export interface OAuthClient {
  readonly definition: ProviderDefinition;
  /** The data centre; `null` where the provider has none. */
  readonly dc: string | null;
  readonly clientId: string;
  /** The secret for this data centre (a PEM private key for `private_key_jwt`); `null` for public clients. */
  readonly clientSecret: Secret | null;
}

/** The token endpoint's answer before anybody tried to understand it; this is what the spool keeps. */
export interface RawAnswer {
  readonly status: number;
  readonly contentType: string | null;
  readonly retryAfter: string | null;
  /** The body as text, decompressed, cut at `limits.answerBytesMax`. */
  readonly body: Secret | null;
  /** The body ended too early, was longer than allowed, or could not be decompressed. */
  readonly incomplete: boolean;
  /** When the request was about to be sent, in milliseconds since 1970: lifetimes count from here. */
  readonly requestedAt: number;
}

/** Tokens as a provider gave them. */
export interface TokenSet {
  readonly accessToken: Secret;
  /** `null` when the answer has none: the stored one stays (RFC 6749 section 6). */
  readonly refreshToken: Secret | null;
  readonly tokenType: string;
  /** Milliseconds since 1970; never later than the true expiry. */
  readonly expiresAt: number;
  /** `null` when the answer does not say: what was asked for was granted (RFC 6749 section 5.1). */
  readonly scopes: readonly string[] | null;
  /** Captured members that passed their checks, `api_domain` among them; names as in the grant's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What an answer means. */
export type TokenOutcome =
  | {
      readonly kind: 'tokens';
      readonly tokens: TokenSet;
      /** One line for each captured member that was dropped because it failed its check. */
      readonly notes: readonly string[];
    }
  | {
      readonly kind: 'refused';
      readonly class: ErrorClass;
      /** The provider's own error code, cut and cleaned for display. */
      readonly error: string | null;
      readonly status: number;
      readonly retryAfterMs: number | null;
    }
  /** The request was processed or not, nobody can tell: the answer is cut, too large or not readable. */
  | { readonly kind: 'unknown'; readonly reason: string; readonly status: number | null };
