import type { CheckedKey } from '../../base/ids.ts';
import { timesOf } from '../../base/limits.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { isSameOrganizationKind } from '../../providers/organization-kind.ts';
import { type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import { grantsInOrganization } from '../../storage/statements/organizations.ts';
import type { VaultContext } from '../context.ts';
import { type ToldOrganization, toldIds } from './told.ts';

/**
 * Lists the grants of other tenants that are in the same organisation, at this provider or at another one that names it by
 * the same id. For a vault whose tenants are companies, that is a consent at the wrong place: one of them reads the other's
 * data.
 *
 * @param told the organisations that the API has just named; empty if it was not asked
 */
export async function sharersOf(
  context: VaultContext,
  definition: ProviderDefinition,
  row: Pick<GrantRow, 'client_id' | 'provider' | 'metadata'>,
  told: readonly ToldOrganization[],
): Promise<CheckedKey[]> {
  const ids = toldIds(definition, metadataOf(row), told);
  if (ids.length === 0) return [];
  const providers = await relatedProviders(context, definition);
  return grantsInOrganization(context.store, { tenant: row.client_id, providers, ids });
}

interface Related {
  readonly ids: readonly string[];
  readonly readAt: number;
}

const related = new WeakMap<VaultContext, Map<string, Related>>();

/** The providers whose ids of organisations are of the same kind. */
async function relatedProviders(context: VaultContext, definition: ProviderDefinition): Promise<readonly string[]> {
  if (definition.api.health?.organizations === undefined) return [definition.id];
  const now = context.world.monotonic();
  const ofContext = related.get(context) ?? new Map<string, Related>();
  related.set(context, ofContext);
  const known = ofContext.get(definition.id);
  // A check of many grants asks for each of them.
  if (known !== undefined && now - known.readAt < timesOf(context.world).providerCachedMs) return known.ids;
  const ids = [definition.id];
  for (const { id, integrityFailed } of await context.providers.list()) {
    const other = id === definition.id || integrityFailed === true ? null : await context.providers.get(id);
    if (other !== null && isSameOrganizationKind(definition, other)) ids.push(id);
  }
  ofContext.set(definition.id, { ids, readAt: now });
  return ids;
}
