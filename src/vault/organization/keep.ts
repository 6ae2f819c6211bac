import type { CheckedKey } from '../../base/ids.ts';
import { capturedNames } from '../../oauth/account.ts';
import type { Metadata } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { findGrant, type GrantRow, lockGrant, metadataOf } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { changeColumns } from '../grant/change-facts.ts';
import type { Owner } from './read.ts';
import {
  isCarried,
  organizationIdOf,
  organizationMember,
  picked,
  type Reach,
  type ToldOrganization,
  withId,
} from './told.ts';

/** The facts that a token told, for the grant that has it. */
export interface Told {
  readonly organizations: readonly ToldOrganization[];
  readonly owner: Owner | null;
  /** True right after a consent, which may be for another organisation than the one before. */
  readonly isNew: boolean;
  /** The answer to the question whether the token reaches the organisation that the grant names. */
  readonly reach: Reach;
}

/**
 * The members of metadata that a token's answers bring: the organisation's id and name, and the owner.
 *
 * An id that is there stays, because a person may have chosen it. One exception: after a new consent the API names another
 * organisation, no call carries the id, and the API itself had confirmed the old one. A member that the token answers bring
 * is only theirs: by it a later consent is known to be of the same account.
 */
export function organizationMembers(
  definition: ProviderDefinition,
  metadata: Metadata,
  { organizations, owner, isNew, reach }: Told,
): Record<string, string | null> {
  const members: Record<string, string | null> = {};
  const own = organizationIdOf(definition, metadata);
  const confirmed = typeof metadata['org_name'] === 'string';
  const known = own === null ? null : withId(organizations, own);
  const moves = own !== null && known === null && isNew && confirmed && !isCarried(definition);
  const chosen = known ?? (own === null || moves ? picked(organizations) : null);
  const id = chosen?.ids[0];
  if (chosen !== null && id !== undefined) {
    // A person may have given another id of the same organisation: theirs stays.
    const its = known === null ? id : (own ?? id);
    members['org_id'] = its;
    members[organizationMember(definition)] = its;
    members['org_name'] = chosen.name;
  }
  const kept = members['org_id'] ?? own;
  if (organizations.length > 0) {
    const told = (known ?? picked(organizations))?.ids[0];
    // By it grants are compared: the grant's own id may be a person's, or another id of the same organisation.
    members['org_told_id'] = told === undefined || told === kept ? null : told;
  }
  if (reach !== 'unknown') {
    const isUnreached = reach === 'unreached' && kept === own;
    members['org_unreached'] = isUnreached ? own : null;
    if (isUnreached) members['org_name'] = null;
  }
  if (owner !== null) {
    members['user_id'] = owner.id;
    members['user_name'] = owner.name;
  }
  const captured = capturedNames(definition);
  return Object.fromEntries(
    Object.entries(members).filter(([name, value]) => !captured.includes(name) && (metadata[name] ?? null) !== value),
  );
}

/**
 * Keeps with a grant what its token told. A grant that another authorization has reached since is left alone.
 *
 * @returns the row as it is now; undefined if the grant is gone
 */
export async function keepTold(
  context: VaultContext,
  definition: ProviderDefinition,
  of: CheckedKey & { readonly id: string; readonly authorizedGeneration: number },
  told: Told,
): Promise<GrantRow | undefined> {
  const { tenant, provider, account, id, authorizedGeneration } = of;
  const key = { tenant, provider, account };
  const before = await findGrant(context.store.db, key);
  if (before === undefined || !isSame(before, authorizedGeneration)) return before;
  if (Object.keys(organizationMembers(definition, metadataOf(before), told)).length === 0) return before;
  const tenantKeys = await context.keys.pin(tenant, { fresh: true });
  return context.turns.run(key, () =>
    changing(context, async (change) => {
      const row = await lockGrant(change.tx, tenant, id);
      if (row === undefined || !isSame(row, authorizedGeneration)) return row;
      const old = metadataOf(row);
      const news = organizationMembers(definition, old, told);
      const names = Object.keys(news);
      if (names.length === 0) return row;
      const merged = Object.entries({ ...old, ...news }).filter(([, value]) => value !== null);
      const next = await changeColumns(context, change, { row, tenantKeys }, { metadata: Object.fromEntries(merged) });
      const details = { members: names.toSorted().join(), told: true };
      change.record(row, { type: 'grant.updated', to: row.state, reason: row.reason, details });
      return next;
    }),
  );
}

function isSame(row: GrantRow, authorizedGeneration: number): boolean {
  return row.state !== 'disconnected' && row.authorized_generation === authorizedGeneration;
}
