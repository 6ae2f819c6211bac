/**
 * What a secret looks like in a line of text. Nothing in here is what keeps secrets out of the log: they are never handed
 * to it. This is the last look at a line, for the mistake that somebody makes one day.
 */
const patterns: readonly RegExp[] = [
  /\b(?:Bearer|Basic|Zoho-oauthtoken)\s+[^\s"'\\,]+/gi,
  // A JSON Web Token.
  /\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?/g,
  // Zoho's access, refresh and grant tokens, and an API key of our own.
  /\b1000\.[0-9a-f]{32}\.[0-9a-f]{32}\b/g,
  /\bgry_[\w-]{16,}/g,
  /\b(?:client_secret|refresh_token|access_token|id_token|code_verifier|assertion|password|code|state)=[^\s"'&\\]+/g,
  /\\?"(?:client_secret|refresh_token|access_token|id_token|code_verifier)\\?"\s*:\s*\\?"[^"\\]+/g,
  // The password of a database URL.
  /:\/\/[^\s:/@"']+:[^\s@"']+@/g,
];

const replacement = '[scrubbed]';

/** Takes out of a line whatever looks like a secret, and says how often it had to. */
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
