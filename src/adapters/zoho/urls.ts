import { assert } from '../../base/errors.ts';
import { builtInProvider } from '../../providers/catalogue.ts';
import { resolveDc } from '../../providers/data-centre.ts';

/** The addresses of one data centre of Zoho. */
export interface ZohoUrls {
  /** Address at which codes and refresh tokens are exchanged. */
  readonly tokenUrl: string;
  /** Address at which a user's browser gives consent. */
  readonly authUrl: string;
  /** The origin of most APIs, such as `https://www.zohoapis.eu`. */
  readonly apiBase: string;
}

/**
 * Returns the addresses of a data centre.
 *
 * @param dc `us`, `eu`, `in`, `au`, `jp`, `ca`, `cn`, `sa`, `uk`, `ae` or `sg`; also `com`, `com.au` and `com.cn`
 * @throws {GrantryError} `invalid_request` for an unknown data centre; it lists the valid ones
 *
 * @example
 * const { apiBase } = getZohoUrls('com.au');
 */
export function getZohoUrls(dc: string): ZohoUrls {
  const definition = builtInProvider('zoho');
  assert(definition !== null, 'zoho is a built-in provider');
  const { accounts, api } = definition.dataCenters?.[resolveDc(definition, dc)] ?? {};
  assert(accounts !== undefined && api !== undefined, 'every data centre of Zoho has both hosts');
  return { tokenUrl: `${accounts}/oauth/v2/token`, authUrl: `${accounts}/oauth/v2/auth`, apiBase: api };
}
