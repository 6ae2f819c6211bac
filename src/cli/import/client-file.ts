import { basename } from 'node:path';
import { checkName, commandFor, defaultAccount } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { readSmallFile } from '../files.ts';
import { usageError } from '../terminal/errors.ts';
import { parseEnvFile } from './env-file.ts';

/** The content of an env file of one tenant. */
export interface ClientFile {
  readonly file: string;
  readonly tenant: string;
  /** As written; without it, the provider's usual data centre. */
  readonly dc: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: Secret | undefined;
  readonly refreshToken: Secret;
  readonly orgId: string | undefined;
  /** The environment that ZOHO_SANDBOX names. */
  readonly environment: 'sandbox' | undefined;
  /** The host of the API, as written. */
  readonly apiDomain: string | undefined;
  /** The scopes that the file lists, as written. */
  readonly scopes: readonly string[];
  /** Keys of the file that are not used. */
  readonly ignored: readonly string[];
  readonly repeated: readonly string[];
}

const charsMax = {
  ZOHO_DC: 32,
  ZOHO_CLIENT_ID: limits.clientIdCharsMax,
  ZOHO_CLIENT_SECRET: limits.clientSecretCharsMax,
  ZOHO_REFRESH_TOKEN: limits.tokenCharsMax,
  ZOHO_ORG_ID: limits.nameCharsMax,
  ZOHO_SANDBOX: 8,
  ZOHO_API_DOMAIN: limits.urlCharsMax,
} as const;
type Known = keyof typeof charsMax;

/** The names under which people keep the list of scopes; the first one that has a value counts. */
const scopeNames = ['ZOHO_SCOPES', 'ZOHO_SCOPE', 'ZOHO_OAUTH_SCOPES', 'ZOHO_OAUTH_SCOPE', 'SCOPES', 'SCOPE'];

const envFileEnd = '.env';
const envFileStart = '.env.';
/** Endings of templates and backups, which are no tenants. */
const notTenants: ReadonlySet<string> = new Set(['example', 'sample', 'template', 'dist', 'bak', 'swp', 'vault']);

/** Returns the name that an env file's name gives its tenant: of `NAME.env` and `.env.NAME`; null for any other. */
export function tenantInName(name: string): string | null {
  if (name.startsWith(envFileStart)) {
    const rest = name.slice(envFileStart.length);
    return rest === '' || notTenants.has(rest) ? null : rest;
  }
  return name.endsWith(envFileEnd) && name !== envFileEnd ? name.slice(0, -envFileEnd.length) : null;
}

/**
 * Reads one env file.
 *
 * @param tenant the tenant it is for; the file's own name when left out
 * @param grant the rest of the grant's name, for advice
 * @throws {GrantryError} `invalid_request`, `payload_too_large`
 */
export async function readClientFile(
  file: string,
  tenant: string | undefined,
  { provider, account = defaultAccount }: { readonly provider: string; readonly account?: string | undefined },
): Promise<ClientFile> {
  const forTenant = tenant ?? tenantFromName(file);
  const { values, repeated } = parseEnvFile(await readSmallFile(file, limits.documentBytesMax), file);
  const value = (name: Known): string | undefined => {
    const text = values.get(name)?.trim();
    if (text === undefined || text === '') return undefined;
    if (!/^[\x21-\x7e]+$/.test(text) || text.length > charsMax[name]) {
      throw usageError(
        `${name} in ${file} is longer than ${charsMax[name]} characters, or has spaces or unprintable characters.`,
        'Correct the value.',
      );
    }
    return text;
  };
  const secret = (name: Known): Secret | undefined => {
    const text = value(name);
    return text === undefined ? undefined : new Secret(text);
  };
  const refreshToken = secret('ZOHO_REFRESH_TOKEN');
  if (refreshToken === undefined) {
    const advice = `Add it, or run ${commandFor('connect', { tenant: forTenant, provider, account })}.`;
    throw usageError(`${file} has no ZOHO_REFRESH_TOKEN.`, advice);
  }
  const isKnown = (key: string): boolean => Object.hasOwn(charsMax, key) || scopeNames.includes(key);
  return {
    file,
    tenant: forTenant,
    dc: value('ZOHO_DC')?.toLowerCase(),
    clientId: value('ZOHO_CLIENT_ID'),
    clientSecret: secret('ZOHO_CLIENT_SECRET'),
    refreshToken,
    orgId: value('ZOHO_ORG_ID'),
    environment: isOn(value('ZOHO_SANDBOX'), file) ? 'sandbox' : undefined,
    apiDomain: apiDomainOf(value('ZOHO_API_DOMAIN')),
    scopes: scopesIn(values),
    ignored: [...values.keys()].filter((key) => !isKnown(key)),
    repeated: repeated.filter(isKnown),
  };
}

/** People separate scopes with commas, as Zoho does, or with spaces. */
function scopesIn(values: ReadonlyMap<string, string>): string[] {
  const text = scopeNames.map((name) => values.get(name)?.trim() ?? '').find((each) => each !== '');
  return text === undefined ? [] : text.split(/[\s,]+/).filter((scope) => scope !== '');
}

/** Reads a switch. A word that is neither on nor off is refused: a sandbox must not become production by a slip. */
function isOn(text: string | undefined, file: string): boolean {
  const word = text?.toLowerCase() ?? 'false';
  if (['true', '1', 'yes', 'on'].includes(word)) return true;
  if (['false', '0', 'no', 'off'].includes(word)) return false;
  throw usageError(`ZOHO_SANDBOX in ${file} is neither true nor false.`, 'Write ZOHO_SANDBOX=true or leave it out.');
}

/** People write the host with and without its scheme. */
function apiDomainOf(text: string | undefined): string | undefined {
  return text === undefined || text.includes('://') ? text : `https://${text}`;
}

function tenantFromName(file: string): string {
  const name = tenantInName(basename(file));
  if (name === null) {
    throw usageError(
      `The name of ${file} gives no tenant: it is neither NAME.env nor .env.NAME.`,
      'Rename it, or use --tenant.',
    );
  }
  return checkName('tenant', name);
}
