import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkName, checkProviderId, defaultAccount } from '../../base/ids.ts';
import { dcNames, resolveDc } from '../../providers/data-centre.ts';
import type { VaultContext } from '../context.ts';
import { storeTokens } from '../grant/store-tokens.ts';

/** Which grant may be made of a refresh token in the environment. */
export interface EnvironmentFallback {
  /** The one tenant that the token belongs to. */
  tenant: string;
  /** The one provider that the token is good at. */
  provider: string;
  /** The environment variable; `ZOHO_REFRESH_TOKEN` when left out. */
  variable?: string | undefined;
}

/** A checked {@link EnvironmentFallback}. */
export interface CheckedFallback {
  readonly tenant: string;
  readonly provider: string;
  readonly variable: string;
}

const usualVariable = 'ZOHO_REFRESH_TOKEN';
const dcVariable = 'ZOHO_DC';
/** The data centre of an environment that names none. */
const usualDc = 'us';

/** @throws {GrantryError} `invalid_request` */
export function checkFallback(input: EnvironmentFallback | undefined): CheckedFallback | null {
  if (input === undefined) return null;
  if (input === null || typeof input !== 'object') {
    throw new GrantryError('invalid_request', 'The fallback must be an object { tenant, provider, variable? }.');
  }
  const variable = input.variable ?? usualVariable;
  if (typeof variable !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(variable)) {
    throw new GrantryError('invalid_request', "The fallback's variable is not the name of an environment variable.");
  }
  return { tenant: checkName('tenant', input.tenant), provider: checkProviderId(input.provider), variable };
}

/**
 * Makes a grant of the refresh token in the environment, for the one tenant and provider that it was bound to.
 *
 * Only where nothing is stored under the key, not even a tombstone: a tenant that was disconnected stays so. Of several
 * processes that get here at once, one makes the grant. Returns false when there is nothing to import.
 *
 * @throws {GrantryError} `invalid_request` for a token or data centre that cannot be one
 */
export async function importFromEnvironment(
  context: VaultContext,
  fallback: CheckedFallback | null,
  key: CheckedKey,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<boolean> {
  if (fallback === null || fallback.tenant !== key.tenant || fallback.provider !== key.provider) return false;
  const refreshToken = environment[fallback.variable]?.trim() ?? '';
  if (refreshToken === '' || key.account !== defaultAccount) return false;
  const definition = await context.providers.require(key.provider);
  const named = environment[dcVariable]?.trim() ?? '';
  const usual = dcNames(definition).includes(usualDc) ? usualDc : null;
  const dc = named !== '' && dcNames(definition).length > 0 ? resolveDc(definition, named) : usual;
  await storeTokens(
    context,
    key,
    { refreshToken, ...(dc === null ? {} : { metadata: { dc } }) },
    { appLater: true, onlyNew: true },
  );
  return true;
}
