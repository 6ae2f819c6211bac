import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { atPointer } from '../../providers/invalid-token.ts';
import { findGrant, type GrantRow, metadataOf } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import { placeOf } from '../grant/grants.ts';
import type { HandOut } from '../hand-out/hand-out.ts';
import type { TokenInHand } from '../organization/ask.ts';
import { keepTold, type Told } from '../organization/keep.ts';
import { reachOf } from '../organization/reached.ts';
import { type Owner, readOwner } from '../organization/read.ts';
import { sharersOf } from '../organization/shared.ts';
import {
  compareOrganization,
  organizationIdOf,
  organizationsIn,
  type Reach,
  type ToldOrganization,
  withId,
} from '../organization/told.ts';
import type { Grant } from '../types.ts';

/** The organisation that a health check found, and what is odd about it. */
export interface ProvenOrganization {
  readonly orgName: string | null;
  readonly warning?: string | undefined;
}

/** Keeps with the grant what the answer tells of its organisation, and says what a person should know of it. */
export async function proveOrganization(
  context: VaultContext,
  handOut: HandOut,
  key: CheckedKey,
  { definition, grant, body }: { definition: ProviderDefinition; grant: Grant; body: unknown },
): Promise<ProvenOrganization> {
  const told = organizationsIn(definition, grant.metadata, body);
  const inHand = await inHandOf(context, handOut, key, definition);
  const { reach, owner } = await readMore(context, inHand, told);
  const kept = await keepHealthy(context, key, definition, { organizations: told, owner, isNew: false, reach });
  // What was told is kept before a mismatch ends the check: lists then mark it.
  const mismatch = compareOrganization(definition, grant.metadata, { told, reach });
  const warnings = [mismatch, ownerWarning(owner), await sharerWarning(context, definition, kept, told)];
  const words = warnings.filter((text) => text !== undefined).join(' ');
  const own = organizationIdOf(definition, kept === undefined ? grant.metadata : metadataOf(kept));
  const named = own === null ? undefined : withId(told, own)?.name;
  const pointed = atPointer(body, definition.api.health?.name ?? '');
  const orgName = named ?? (typeof pointed === 'string' ? pointed : null);
  return { orgName, warning: words === '' ? undefined : words };
}

/**
 * Checks the organisation that a grant names where the scope for the list of the user's organisations is missing: a product of
 * the provider may have one of its own.
 *
 * @returns what a person should know of it; undefined if there is nothing
 */
export async function proveNamedOrganization(
  context: VaultContext,
  handOut: HandOut,
  key: CheckedKey,
  definition: ProviderDefinition,
): Promise<string | undefined> {
  if (definition.products === undefined) return undefined;
  const inHand = await inHandOf(context, handOut, key, definition);
  if (inHand === null) return undefined;
  const { metadata } = inHand.place;
  const reach = await reachOf(context, inHand, { told: [], scopes: inHand.scopes });
  await keepHealthy(context, key, definition, { organizations: [], owner: null, isNew: false, reach });
  return compareOrganization(definition, metadata, { told: [], reach });
}

/** Asks for more with the token that has just worked. It decides nothing about health, so it may stay unanswered. */
async function readMore(
  context: VaultContext,
  inHand: (TokenInHand & { readonly scopes: readonly string[] }) | null,
  told: readonly ToldOrganization[],
): Promise<{ reach: Reach; owner: Owner | null }> {
  if (inHand === null) return { reach: 'unknown', owner: null };
  const { scopes } = inHand;
  const [reach, owner] = await Promise.all([
    reachOf(context, inHand, { told, scopes }),
    readOwner(context, inHand, scopes),
  ]);
  return { reach, owner };
}

async function inHandOf(
  context: VaultContext,
  handOut: HandOut,
  key: CheckedKey,
  definition: ProviderDefinition,
): Promise<(TokenInHand & { readonly scopes: readonly string[] }) | null> {
  const { accessToken, scopes } = await handOut.hold(key);
  const row = await findGrant(context.store.db, key);
  if (row === undefined) return null;
  const metadata = metadataOf(row);
  const { dc } = await placeOf(context, row, metadata);
  return { definition, place: { dc, metadata }, token: new Secret(accessToken), scopes };
}

async function keepHealthy(
  context: VaultContext,
  key: CheckedKey,
  definition: ProviderDefinition,
  told: Told,
): Promise<GrantRow | undefined> {
  const row = await findGrant(context.store.db, key);
  if (row === undefined) return undefined;
  const { id, authorized_generation: authorizedGeneration } = row;
  try {
    return await keepTold(context, definition, { ...key, id, authorizedGeneration }, told);
  } catch (error) {
    if (!isGrantryError(error) || isVaultDown(error)) throw error;
    // The grant is healthy. What is altered in its row is said by the next use of its tokens.
    context.logger.warn('the organisation of a grant could not be kept', { ...key, code: error.code });
    return row;
  }
}

function ownerWarning(owner: Owner | null): string | undefined {
  if (owner?.isInactive !== true) return undefined;
  return `The user who gave the consent, ${owner.name ?? owner.id}, is not active at the provider any more: another one should connect.`;
}

const namedTenantsMax = 3;

async function sharerWarning(
  context: VaultContext,
  definition: ProviderDefinition,
  row: GrantRow | undefined,
  told: readonly ToldOrganization[],
): Promise<string | undefined> {
  const sharers = row === undefined ? [] : await sharersOf(context, definition, row, told);
  if (sharers.length === 0) return undefined;
  return `The same organisation belongs to another tenant: ${fewNames(sharers)}.`;
}

/** In a report of many grants, each of them would name all others. */
function fewNames(keys: readonly { readonly tenant: string }[]): string {
  const tenants = [...new Set(keys.map(({ tenant }) => tenant))];
  const named = tenants.slice(0, namedTenantsMax).join(', ');
  return tenants.length > namedTenantsMax ? `${named} and others` : named;
}
