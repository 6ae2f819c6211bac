import { type TokenForm, tokenForms } from '../base/token-forms.ts';

/** A secret that can be recognised in a text. */
export interface LeakRule {
  readonly id: string;
  /** The kind of secret, after the word "found". */
  readonly title: string;
  /** With the flag `g`. A group, if there is one, holds the secret itself. */
  readonly pattern: RegExp;
  /** Lower-case words of which one stands in every match: a quick scanner looks for them first. */
  readonly keywords: readonly string[];
  /** The least entropy of the secret, in bits per character: what people write has less. */
  readonly entropyMin?: number;
}

type Words = Pick<LeakRule, 'title' | 'keywords'>;

/** Every form of the scrubber is a rule: a new form does not compile without its words. */
const wordsOfForms: Readonly<Record<TokenForm, Words>> = {
  json_web_token: { title: 'a JSON Web Token', keywords: ['eyj'] },
  zoho_token: { title: 'a token of Zoho', keywords: ['1000.'] },
  grantry_api_key: { title: 'an API key of Grantry', keywords: ['gry_'] },
  grantry_sealed_value: { title: 'a value that Grantry sealed', keywords: ['gry1.'] },
  webhook_secret: { title: 'the secret of a webhook', keywords: ['whsec_'] },
  github_token: { title: 'a token of GitHub', keywords: ['gho_', 'ghp_', 'ghr_', 'ghs_', 'ghu_', 'github_pat_'] },
  google_access_token: { title: 'an access token of Google', keywords: ['ya29.'] },
  google_refresh_token: { title: 'a refresh token of Google', keywords: ['1//0'] },
  google_client_secret: { title: 'a client secret of Google', keywords: ['gocspx-'] },
  slack_token: { title: 'a token of Slack', keywords: ['xox', 'xapp-'] },
  hubspot_token: { title: 'a token of HubSpot', keywords: ['na1-', 'na2-', 'na3-', 'eu1-', 'ap1-'] },
  microsoft_refresh_token: { title: 'a refresh token of Microsoft', keywords: ['0.a', '1.a', 'm.c', 'm.r'] },
  microsoft_client_secret: { title: 'a client secret of Microsoft', keywords: ['q~'] },
  salesforce_token: { title: 'a token of Salesforce', keywords: ['00d', '5aep861'] },
  quickbooks_refresh_token: { title: 'a refresh token of QuickBooks', keywords: ['ab11', 'rt1-'] },
};

/** 32 bytes in base64: the last character has two bits that are zero. */
const rootKeyText = '[\\w+/-]{42}[AEIMQUYcgkosw048]=?';

const named = '(?:client_?secret|refresh_?token|access_?token)';
const nameKeywords = ['secret', 'token'];

/** Secrets that only their surroundings give away. */
const rulesByPlace: readonly LeakRule[] = [
  {
    id: 'zoho_client_secret',
    title: 'a client secret of Zoho beside its client id',
    pattern: /\b1000\.[A-Z0-9]{30,40}\b[^]{1,200}?\b([0-9a-f]{40,42})\b/g,
    keywords: ['1000.'],
  },
  {
    id: 'zoho_client_secret_first',
    title: 'a client secret of Zoho beside its client id',
    pattern: /\b([0-9a-f]{40,42})\b[^]{1,200}?\b1000\.[A-Z0-9]{30,40}\b/g,
    keywords: ['1000.'],
  },
  {
    id: 'grantry_root_key',
    title: 'a root key of Grantry beside its name',
    pattern: new RegExp(`root_?key["']?\\s{0,4}[:=]\\s{0,4}["']?(${rootKeyText})(?:[^\\w+/=-]|$)`, 'gi'),
    keywords: ['root_key', 'rootkey'],
  },
  {
    id: 'grantry_root_key_file',
    title: 'a file that has a root key of Grantry and nothing else',
    pattern: new RegExp(`^(${rootKeyText})\\s{0,2}$`, 'g'),
    keywords: [],
  },
  {
    id: 'named_secret',
    title: 'a client secret or token beside its name',
    // Xero and RingCentral give their tokens no form. A random value has a digit early; a name in code seldom has.
    pattern: new RegExp(
      `${named}["']?\\s{0,4}(?:[:=]|=>)\\s{0,4}["']?([A-Za-z_-]{0,20}\\d[\\w+/~-]{19,512}={0,2})(?:[^\\w.+/~-]|$)`,
      'gi',
    ),
    keywords: nameKeywords,
    entropyMin: 3.5,
  },
];

/** All rules, by the names that reports and allow-lists use. */
export const leakRules: readonly LeakRule[] = [
  // The record above has exactly the names of the forms.
  ...(Object.entries(wordsOfForms) as [TokenForm, Words][]).map(([id, words]) => ({
    id,
    pattern: tokenForms[id],
    ...words,
  })),
  ...rulesByPlace,
];
