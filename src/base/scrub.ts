/**
 * Tokens that their form gives away, also where a name is expected. A part that can fail after a long run has a bound:
 * without it, a hostile text would take time with the square of its length.
 */
const tokenForms: readonly RegExp[] = [
  // A JSON Web Token.
  /\beyJ[\w-]{8,2048}\.[\w-]{8,}(?:\.[\w-]*)?/g,
  // Zoho's access, refresh and grant tokens, and Grantry's own API keys.
  /\b1000\.[0-9a-f]{32}\.[0-9a-f]{32}\b/g,
  /\bgry_[\w-]{16,}/g,
  // GitHub's and Google's tokens.
  /\bgh[oprsu]_\w{20,}/g,
  /\bya29\.[\w.-]{20,}/g,
  /\b1\/\/0[\w-]{20,}/g,
];

/**
 * Patterns of secrets in a line of text. The log never receives secrets in the first place: this is the last check, for
 * a future programming error.
 */
const patterns: readonly RegExp[] = [
  /\b(?:Bearer|Basic|Zoho-oauthtoken)\s+[^\s"'\\,]+/gi,
  ...tokenForms,
  /\b(?:client_secret|refresh_token|access_token|id_token|code_verifier|assertion|password|code|state)=[^\s"'&\\]+/g,
  /\\?"(?:client_secret|refresh_token|access_token|id_token|code_verifier)\\?"\s*:\s*\\?"[^"\\]+/g,
  // Password in a database URL.
  /:\/\/[^\s:/@"']+:[^\s@"']{1,2048}@/g,
];

const replacement = '[scrubbed]';

/** Replaces everything in a line that looks like a secret, and counts the replacements. */
export function scrub(line: string): { readonly line: string; readonly hits: number } {
  let hits = 0;
  let clean = line;
  for (const pattern of patterns) {
    clean = clean.replace(pattern, () => {
      hits += 1;
      return replacement;
    });
  }
  return { line: clean, hits };
}

/** Hides tokens in a text that names what a caller sent: a token may stand where a name belongs. */
export function hideTokens(text: string): string {
  return tokenForms.reduce((clean, form) => clean.replace(form, '[not shown]'), text);
}
