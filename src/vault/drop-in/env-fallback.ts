import { invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkName, checkProviderId, defaultAccount } from '../../base/ids.ts';
import { dcNames, resolveDc } from '../../providers/data-centre.ts';
import { checkMembers } from '../check-options.ts';
import { isObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { handIn } from '../grant/store-tokens.ts';

/** Binding of a refresh token in the environment to one grant. */
export interface EnvironmentFallback {
  /** The only tenant that the token belongs to. */
  tenant: string;
  /** The only provider that accepts the token. */
  provider: string;
  /** The environment variable; `ZOHO_REFRESH_TOKEN` by default. */
  variable?: string | undefined;
}

/** A checked {@link EnvironmentFallback}. */
export type CheckedFallback = Readonly<EnvironmentFallback & { variable: string }>;

const defaultVariable = 'ZOHO_REFRESH_TOKEN';
const dcVariable = 'ZOHO_DC';
/** The data centre if the environment does not name one. */
const defaultDc = 'us';

/** Checks the option `fallback`. @throws {GrantryError} `invalid_request` */
export function checkFallback(input: EnvironmentFallback | undefined): CheckedFallback | null {
  if (input === undefined) return null;
  if (!isObject(input)) {
    throw invalidRequest('The fallback must be an object { tenant, provider, variable? }.');
  }
  checkMembers('The fallback', input, ['tenant', 'provider', 'variable']);
  const variable = input.variable ?? defaultVariable;
  if (typeof variable !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(variable)) {
    throw invalidRequest("The fallback's variable is not a valid name of an environment variable.");
  }
  return { tenant: checkName('tenant', input.tenant), provider: checkProviderId(input.provider), variable };
}

/**
 * Imports the refresh token from the environment as a grant of the tenant and provider that it is bound to. Returns false
 * if there is nothing to import.
 *
 * It requires that no row exists under the key, not even a tombstone, so that a disconnected tenant stays disconnected. Of
 * several concurrent processes, one creates the grant.
 *
 * @throws {GrantryError} `invalid_request` for an invalid token or data centre
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
  const fallbackDc = dcNames(definition).includes(defaultDc) ? defaultDc : null;
  const dc = named !== '' && dcNames(definition).length > 0 ? resolveDc(definition, named) : fallbackDc;
  await handIn(
    context,
    key,
    { refreshToken, ...(dc === null ? {} : { metadata: { dc } }) },
    { appLater: true, onlyNew: true },
  );
  return true;
}
