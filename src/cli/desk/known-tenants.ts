import { closestName } from '../../base/closest.ts';
import { GrantryError } from '../../base/errors.ts';
import type { Grant, Vault } from '../../vault/types.ts';
import { allGrants } from '../commands/list.ts';
import { organizationText } from '../organizations.ts';
import type { Output } from '../terminal/output.ts';
import { environmentText, minute, stateText } from '../terminal/present.ts';
import { printTable } from '../terminal/table.ts';

/**
 * Returns the grants of a tenant that the vault knows: one that has or had a grant, or an app of its own.
 *
 * @throws {GrantryError} `not_found` for any other, with the name that is nearest
 */
export async function knownGrants(vault: Vault, tenant: string): Promise<readonly Grant[]> {
  const grants = await allGrants(vault, { tenant });
  if (grants.length > 0) return grants;
  const ofApps = (await vault.apps.list()).flatMap(({ tenants }) => tenants ?? []);
  if (ofApps.includes(tenant)) return grants;
  const near = closestName(tenant, new Set([...ofApps, ...(await allGrants(vault, {})).map((each) => each.tenant)]));
  const text = `There is no tenant ${tenant}.${near === null ? '' : ` Did you mean ${near}?`}`;
  throw new GrantryError('not_found', text, {
    action: `Run grantry list to see the names; grantry use ${tenant} --new takes a tenant that is still to come.`,
  });
}

/** Prints the grants of a tenant on stderr: stdout has only the tenant's name, which scripts read. */
export function noteGrants(output: Output, grants: readonly Grant[]): void {
  printTable({ ...output, print: (line) => output.note(line) }, grants, {
    PROVIDER: ({ provider }) => provider,
    ACCOUNT: ({ account }) => account,
    STATE: stateText,
    DC: ({ dc }) => dc ?? '-',
    ENVIRONMENT: environmentText,
    ORGANISATION: organizationText,
    'TOKEN EXPIRES': ({ expiresAt }) => minute(expiresAt),
  });
}
