import type { CheckedKey } from '../../base/ids.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { grantsInOrganization } from '../../storage/statements/organizations.ts';
import type { VaultContext } from '../context.ts';
import { organizationIdOf } from './told.ts';

/**
 * Lists the grants of other tenants that are in the same organisation of the same provider. For a vault whose tenants are
 * companies, that is a consent at the wrong place: one of them reads the other's data.
 */
export async function sharersOf(
  context: VaultContext,
  definition: ProviderDefinition,
  row: Pick<GrantRow, 'client_id' | 'provider' | 'metadata'>,
): Promise<CheckedKey[]> {
  const organization = organizationIdOf(definition, metadataOf(row));
  if (organization === null) return [];
  const { client_id: tenant, provider } = row;
  return grantsInOrganization(context.store, { tenant, provider, organization });
}
