/**
 * Tokens that their form gives away, also where a name is expected. A part that can fail after a long run has a bound:
 * without it, a hostile text would take time with the square of its length.
 */
const tokenForms: readonly RegExp[] = [
  // A JSON Web Token, also an encrypted one.
  /\beyJ[\w-]{8,2048}\.[\w-]*\.[\w-]{4,}(?:\.[\w-]*)*/g,
  // Zoho's access, refresh and grant tokens, and Grantry's own API keys.
  /\b1000\.[0-9a-f]{32}\.[0-9a-f]{32}\b/g,
  /\bgry_[\w-]{16,}/g,
  // Slack's tokens, also those that rotate.
  /\bx(?:ox[a-z](?:\.xox[a-z])?|app)-[\w-]{8,}/g,
  // GitHub, GitLab, Google, Stripe, Shopify, npm, Notion, Linear, DigitalOcean, HubSpot, Atlassian, OpenAI, SendGrid.
  /\b(?:gh[oprsu]_|github_pat_|glpat-|ya29\.|1\/\/0|GOCSPX-|[rs]k_(?:live|test)_|shp(?:at|ca|pa|ss)_|npm_|ntn_|lin_(?:api|oauth)_|do[opr]_v1_|pat-(?:na|eu|ap)\d-|ATATT|sk-|SG\.)[\w.-]{20,}/g,
  // Google's API keys, the access keys of AWS, and the tokens of Salesforce and Facebook.
  /\b(?:AIza[\w-]{35}|A[KS]IA[0-9A-Z]{16}\b|00D\w{9,15}![\w.]{20,}|EAA[0-9A-Za-z]{40,})/g,
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
