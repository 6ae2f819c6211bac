import type { GlobalFlags } from './settings.ts';

/** The arguments of `grantry token`, as they were typed. */
export interface TokenInput {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string | undefined;
  readonly minValidity: string | undefined;
  readonly rejected: string | undefined;
}

type TokenFlag = 'account' | 'minValidity' | 'rejected' | Exclude<keyof GlobalFlags, 'json' | 'verbose'>;

const flagNames: Readonly<Record<string, TokenFlag>> = {
  '-t': 'minValidity',
  '--min-validity': 'minValidity',
  '--account': 'account',
  '--rejected': 'rejected',
  '--home': 'home',
  '--database': 'database',
  '--root-key': 'rootKey',
  '--installation': 'installation',
  '--spool': 'spool',
  '--url': 'url',
  '--public-url': 'publicUrl',
  '--log-level': 'logLevel',
  '--tenant': 'tenant',
};

/**
 * Recognises the plain forms of `grantry token TENANT PROVIDER [flags]`; `null` for everything else.
 *
 * It reports no errors: the full parser handles all other forms, and describes what is wrong.
 */
export function recogniseToken(words: readonly string[]): (TokenInput & { flags: GlobalFlags }) | null {
  if (words[0] !== 'token') return null;
  const operands: string[] = [];
  const given: Partial<Record<TokenFlag, string>> = {};
  let json = false;
  for (let index = 1; index < words.length; index += 1) {
    const word = words[index] ?? '';
    if (word === '--json') {
      json = true;
    } else if (!word.startsWith('-')) {
      operands.push(word);
    } else {
      const name = Object.hasOwn(flagNames, word) ? flagNames[word] : undefined;
      const value = words[index + 1];
      if (name === undefined || value === undefined || value.startsWith('-') || given[name] !== undefined) return null;
      given[name] = value;
      index += 1;
    }
  }
  const [tenant, provider] = operands;
  if (tenant === undefined || provider === undefined || operands.length > 2) return null;
  const { account, minValidity, rejected, ...flags } = given;
  return { tenant, provider, account, minValidity, rejected, flags: { ...flags, json } };
}
