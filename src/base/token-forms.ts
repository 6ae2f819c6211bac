/**
 * Tokens that their form gives away, each form in one place: for the scrubber, and for the rules that find leaked secrets. A
 * part that can fail after a long run has a bound: without it, a hostile text would take time with the square of its
 * length.
 */
export const tokenForms = {
  // Also an encrypted one.
  json_web_token: /\beyJ[\w-]{8,2048}\.[\w-]*\.[\w-]{4,}(?:\.[\w-]*)*/g,
  // Access, refresh and grant tokens.
  zoho_token: /\b1000\.[0-9a-f]{32}\.[0-9a-f]{32}\b/g,
  grantry_api_key: /\bgry_[\w-]{16,}/g,
  grantry_sealed_value: /\bgry1\.[\w-]{40,}/g,
  webhook_secret: /\bwhsec_[\w+/=-]{24,}/g,
  github_token: /\bgh[oprsu]_\w{20,}|\bgithub_pat_\w{40,}/g,
  google_access_token: /\bya29\.[\w.-]{20,}/g,
  google_refresh_token: /\b1\/\/0[\w-]{20,}/g,
  google_client_secret: /\bGOCSPX-[\w-]{20,}/g,
  slack_token: /\bxox[a-z]{1,2}(?:\.xox[a-z])?-[\w-]{10,}|\bxapp-\d-[\w-]{10,}/g,
  hubspot_token: /\b(?:pat-)?(?:na|eu|ap)\d-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi,
  microsoft_refresh_token: /\b[01]\.A[\w-]{80,}|\bM\.[CR]\d{1,4}_\w{2,6}\.[\w!*$.-]{60,}/g,
  microsoft_client_secret: /\b\w{3}\dQ~[\w.~-]{31,34}/g,
  salesforce_token: /\b00D\w{12,15}![\w.]{60,}|\b5Aep861[\w.]{40,}/g,
  quickbooks_refresh_token: /\bAB11\d{8,12}\w{20,}|\bRT1-\d{1,4}-H0-\d{8,12}\w{16,}/g,
} as const satisfies Readonly<Record<string, RegExp>>;

/** Further forms, which the scrubber hides and for which there is no rule: they are broader, or of services far away. */
export const otherForms: readonly RegExp[] = [
  // Slack's tokens, also those that rotate.
  /\bx(?:ox[a-z](?:\.xox[a-z])?|app)-[\w-]{8,}/g,
  // GitHub, GitLab, Google, Stripe, Shopify, npm, Notion, Linear, DigitalOcean, HubSpot, Atlassian, OpenAI, SendGrid.
  /\b(?:gh[oprsu]_|github_pat_|glpat-|ya29\.|1\/\/0|GOCSPX-|[rs]k_(?:live|test)_|shp(?:at|ca|pa|ss)_|npm_|ntn_|lin_(?:api|oauth)_|do[opr]_v1_|pat-(?:na|eu|ap)\d-|ATATT|sk-|SG\.)[\w.-]{20,}/g,
  // Google's API keys, the access keys of AWS, and the tokens of Salesforce and Facebook.
  /\b(?:AIza[\w-]{35}|A[KS]IA[0-9A-Z]{16}\b|00D\w{9,15}![\w.]{20,}|EAA[0-9A-Za-z]{40,})/g,
];

export type TokenForm = keyof typeof tokenForms;
