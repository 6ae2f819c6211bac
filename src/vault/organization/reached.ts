import type { ProviderDefinition } from '../../providers/definition.ts';
import type { VaultContext } from '../context.ts';
import type { TokenInHand } from './ask.ts';
import { type Reading, readOrganizations } from './read.ts';
import { isCarried, organizationIdOf, ownReach, type Reach, type ToldOrganization, withId } from './told.ts';

/**
 * Tells whether a token reaches the organisation that its grant names. Where one grant serves several products, each has
 * organisations of its own: those that take one with a call are asked too, but only for an id that is not known otherwise.
 */
export async function reachOf(
  context: VaultContext,
  inHand: TokenInHand,
  { told, scopes }: { readonly told: readonly ToldOrganization[]; readonly scopes: readonly string[] },
): Promise<Reach> {
  const { definition, place } = inHand;
  const own = organizationIdOf(definition, place.metadata);
  const reach = ownReach(definition, place.metadata, told);
  if (own === null || reach === 'reached' || definition.products === undefined) return reach;
  const readings = await readProducts(context, inHand, scopes);
  const named = readings.flatMap((reading) => (reading.kind === 'told' ? reading.organizations : []));
  if (withId(named, own) !== null) return 'reached';
  if (readings.some(({ kind }) => kind === 'away')) return 'unknown';
  return told.length > 0 || named.length > 0 ? 'unreached' : 'unknown';
}

/** The calls follow the rules of the grant's own provider, so that its token goes to none but its hosts. */
async function readProducts(
  context: VaultContext,
  inHand: TokenInHand,
  scopes: readonly string[],
): Promise<readonly Reading[]> {
  const { definition } = inHand;
  const carrying = (definition.products ?? []).filter(({ organization }) => organization !== undefined);
  const ids = new Set(carrying.map(({ id }) => id));
  const products = await Promise.all([...ids].map((id) => context.providers.get(id)));
  return Promise.all(
    products.flatMap((product) => {
      const health = product?.api.health;
      if (product === null || health?.organizations === undefined || !isCarried(product)) return [];
      const asking: ProviderDefinition = { ...definition, api: { ...definition.api, health } };
      return [readOrganizations(context, { ...inHand, definition: asking }, scopes)];
    }),
  );
}
