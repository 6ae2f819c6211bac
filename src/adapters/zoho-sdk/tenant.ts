import { AsyncLocalStorage } from 'node:async_hooks';
import { invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';

const current = new AsyncLocalStorage<CheckedKey>();

/**
 * Runs work whose calls of the SDK are those of one tenant, however much other work runs at the same time. It may be nested;
 * the innermost tenant counts.
 *
 * @throws {GrantryError} `invalid_request` for a key that is not valid, and every error of the work
 *
 * @example
 * import * as sdk from '@zohocrm/typescript-sdk-8.0';
 * import { withTenant } from 'grantry/zoho-sdk';
 *
 * const acme = { tenant: 'acme', provider: 'zoho_crm' };
 * const answer = await withTenant(acme, () => new sdk.Org.OrgOperations().getOrganization());
 */
export function withTenant<Result>(key: GrantKey, work: () => Result): Result {
  return current.run(checkKey(key), work);
}

/** The tenant of the work that runs now, or undefined. */
export function currentTenant(): CheckedKey | undefined {
  return current.getStore();
}

/** The tenant of the work that runs now. @throws {GrantryError} `invalid_request` outside of {@link withTenant} */
export function requireTenant(): CheckedKey {
  const key = currentTenant();
  if (key !== undefined) return key;
  throw invalidRequest('The SDK was called for no tenant.', {
    action: 'Call it inside withTenant({ tenant, provider }, …) of grantry/zoho-sdk.',
  });
}
