import { parseArgs } from 'node:util';
import type { GlobalFlags } from './settings.ts';

/** The arguments of `grantry token`, as they were typed. */
export interface TokenInput {
  readonly tenant: string;
  readonly provider: string;
  readonly account: string | undefined;
  readonly minValidity: string | undefined;
  readonly rejected: string | undefined;
  /** True if another tenant than that of the directory is meant. */
  readonly anyway: boolean | undefined;
}

const text = { type: 'string' } as const;

const options = {
  'min-validity': { type: 'string', short: 't' },
  account: text,
  rejected: text,
  anyway: { type: 'boolean' },
  home: text,
  database: text,
  'root-key': text,
  installation: text,
  spool: text,
  url: text,
  'public-url': text,
  'log-level': text,
  tenant: text,
  json: { type: 'boolean' },
} as const;

/**
 * Recognises the plain forms of `grantry token TENANT PROVIDER [flags]`; `null` for everything else.
 *
 * It reports no errors: the full parser handles all other forms, and describes what is wrong.
 */
export function recogniseToken(words: readonly string[]): (TokenInput & { flags: GlobalFlags }) | null {
  if (words[0] !== 'token') return null;
  const parsed = parsedOrNull(words.slice(1));
  const [tenant, provider] = parsed?.positionals ?? [];
  if (parsed?.positionals.length !== 2 || tenant === undefined || provider === undefined) return null;
  const { account, rejected, anyway, 'min-validity': minValidity, ...values } = parsed.values;
  const { json = false, 'root-key': rootKey, 'public-url': publicUrl, 'log-level': logLevel, ...others } = values;
  const flags = { ...others, json, rootKey, publicUrl, logLevel };
  return { tenant, provider, account, minValidity, rejected, anyway, flags };
}

function parsedOrNull(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch {
    return null;
  }
}
