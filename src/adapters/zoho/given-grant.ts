import { createHash } from 'node:crypto';
import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { checkMembers } from '../../vault/check-options.ts';
import { checkVault } from '../../vault/checks.ts';
import type { Vault } from '../../vault/types.ts';
import { type CompleteCredentials, importGiven } from './import-given.ts';
import { processVault } from './process-vault.ts';

/** Options that the constructors of hand-written managers do not have. */
export interface ZohoManagerOptions {
  /** The tenant under which the grant is kept. Without it, the name is made of a hash of client id and refresh token. */
  tenant?: string | undefined;
  /** The provider's id; `zoho`, for several products, by default. */
  provider?: string | undefined;
  /** The account; `default` by default. */
  account?: string | undefined;
  /** The organisation's id, for products that want one with each call. */
  orgId?: string | undefined;
  /** A vault or client for only this manager. */
  vault?: Vault | undefined;
}

/** The arguments of a hand-written manager's constructor. Environment variables may be missing. */
export interface GivenCredentials {
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
  readonly refreshToken: string | undefined;
  readonly dc: string;
}

/** The grant of one manager. The credentials that it was given become a grant at the first use, once per process. */
export class GivenGrant {
  readonly #given: GivenCredentials;
  readonly #options: ZohoManagerOptions;
  #known: { key: CheckedKey; credentials: CompleteCredentials | null } | undefined;

  /** @throws {GrantryError} `invalid_request` for an unknown option; the credentials are checked at the first use */
  constructor(given: GivenCredentials, options: ZohoManagerOptions = {}) {
    checkMembers('ZohoTokenManager', options, ['tenant', 'provider', 'account', 'orgId', 'vault']);
    if (options.vault !== undefined) checkVault(options.vault);
    this.#given = given;
    this.#options = options;
  }

  /** The vault and the key. @throws {GrantryError} `invalid_request`, and every error of an import */
  async ready(): Promise<{ vault: Vault; key: CheckedKey }> {
    this.#known ??= this.#read();
    const { key, credentials } = this.#known;
    const vault = this.#options.vault ?? (await processVault());
    if (credentials !== null) await importGiven(vault, key, credentials);
    return { vault, key };
  }

  #read(): { key: CheckedKey; credentials: CompleteCredentials | null } {
    const { provider = 'zoho', account, orgId } = this.#options;
    const credentials = completeCredentials(this.#given, orgId);
    const tenant = this.#options.tenant ?? (credentials === null ? undefined : derivedTenant(credentials));
    if (tenant === undefined) {
      throw invalidRequest('The client id, the client secret or the refresh token is missing.', {
        action: 'Pass all three, or the option tenant for a grant that is stored already.',
      });
    }
    return { key: checkKey({ tenant, provider, account }), credentials };
  }
}

/** Null without a refresh token: the grant is stored already. @throws {GrantryError} `invalid_request` for other types */
function completeCredentials(given: GivenCredentials, orgId: string | undefined): CompleteCredentials | null {
  const { dc } = given;
  const clientId = textOf('client id', given.clientId);
  const clientSecret = textOf('client secret', given.clientSecret);
  const refreshToken = textOf('refresh token', given.refreshToken);
  if (clientId === null || clientSecret === null || refreshToken === null) return null;
  return { clientId, clientSecret: new Secret(clientSecret), refreshToken: new Secret(refreshToken), dc, orgId };
}

function textOf(what: string, value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string') return value;
  throw invalidRequest(`The ${what} is not a string.`);
}

/** The same credentials are the same tenant in every process. A hash of a random token tells nothing about it. */
function derivedTenant({ clientId, refreshToken }: CompleteCredentials): string {
  const text = `${clientId}\0${refreshToken.reveal()}`; // hashed, and cut to a quarter of the hash
  return `zoho-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/**
 * The tenant of a client's name in a configuration: the name itself if it can be one. Otherwise its letters and digits, with
 * a hash that tells it from similar names.
 */
export function tenantNamed(name: string): string {
  try {
    return checkKey({ tenant: name, provider: 'zoho' }).tenant;
  } catch (error) {
    if (!isGrantryError(error, 'invalid_request')) throw error;
  }
  const words = name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^a-zA-Z0-9]+/g, '-');
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${words.replaceAll(/^-+|-+$/g, '').slice(0, 100) || 'client'}-${hash}`;
}
