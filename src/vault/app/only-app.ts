import { GrantryError, invalidRequest } from '../../base/errors.ts';

/**
 * Chooses the app of a tenant at a provider when the caller names none: the tenant's own app, else the only app for all
 * tenants.
 *
 * @param all The apps of that provider
 * @param tenantsOf Returns the tenants that an app serves; null is all
 * @throws {GrantryError} `not_found`; `invalid_request` if several match
 */
export function onlyApp<A extends { readonly name: string }>(
  all: readonly A[],
  tenantsOf: (app: A) => readonly string[] | null,
  { tenant, provider }: { readonly tenant: string; readonly provider: string },
): A {
  const own = all.filter((app) => tenantsOf(app)?.includes(tenant) === true);
  const found = own.length > 0 ? own : all.filter((app) => tenantsOf(app) === null);
  const [first, ...others] = found;
  if (first === undefined) {
    throw new GrantryError('not_found', `There is no app for ${provider} that serves ${tenant}.`, {
      action: `Add one: grantry app add NAME --provider ${provider} --client-id ID --client-secret-file FILE`,
      reason: 'no_app',
    });
  }
  if (others.length === 0) return first;
  const names = found.map(({ name }) => name).join(', ');
  throw invalidRequest(`Several apps for ${provider} serve ${tenant}: ${names}.`, {
    action: 'Name one of them as app (--app on the command line).',
    reason: 'ambiguous_app',
  });
}
