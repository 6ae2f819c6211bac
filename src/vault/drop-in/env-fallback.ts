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
export function checkFallbacks(
  input: EnvironmentFallback | readonly EnvironmentFallback[] | undefined,
): readonly CheckedFallback[] {
  if (input === undefined) return [];
  const all: readonly unknown[] = Array.isArray(input) ? input : [input];
  return all.map(checkFallback);
}

function checkFallback(input: unknown): CheckedFallback {
  if (!isObject(input)) {
    throw invalidRequest('The fallback must be an object { tenant, provider, variable? }, or a list of them.');
  }
  checkMembers('The fallback', input, ['tenant', 'provider', 'variable']);
  const { tenant, provider, variable = defaultVariable } = input;
  if (typeof variable !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(variable)) {
    throw invalidRequest("The fallback's variable is not a valid name of an environment variable.");
  }
  return { tenant: checkName('tenant', tenant), provider: checkProviderId(provider), variable };
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
  fallbacks: readonly CheckedFallback[],
  key: CheckedKey,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<boolean> {
  const fallback = fallbacks.find(({ tenant, provider }) => tenant === key.tenant && provider === key.provider);
  if (fallback === undefined) return false;
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

/** Tells what the option `fallback` lacks, for the error of a missing grant; null if the environment holds no token. */
export function fallbackHint(
  fallbacks: readonly CheckedFallback[],
  { tenant, provider }: CheckedKey,
  environment: NodeJS.ProcessEnv = process.env,
): string | null {
  if ((environment[defaultVariable]?.trim() ?? '') === '') return null;
  if (fallbacks.some((each) => each.tenant === tenant && each.provider === provider)) return null;
  return `${defaultVariable} is set, and the option fallback does not bind it to this pair. To import it, add { tenant: '${tenant}', provider: '${provider}' } to fallback.`;
}
