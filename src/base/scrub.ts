import { otherForms, tokenForms } from './token-forms.ts';

const forms: readonly RegExp[] = [...Object.values(tokenForms), ...otherForms];

/**
 * Patterns of secrets in a line of text. The log never receives secrets in the first place: this is the last check, for
 * a future programming error.
 */
const patterns: readonly RegExp[] = [
  /\b(?:Bearer|Basic|Zoho-oauthtoken)\s+[^\s"'\\,]+/gi,
  ...forms,
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
  return forms.reduce((clean, form) => clean.replace(form, '[not shown]'), text);
}
