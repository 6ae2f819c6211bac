import { checkKey, type GrantKey } from '../../base/ids.ts';
import { findGrant, lockGrant, metadataOf } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import { checkObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import type { Grant } from '../types.ts';
import { changeColumns } from './change-facts.ts';
import { checkMetadataSize } from './check-metadata.ts';
import { describeGrant } from './grants.ts';
import { missingGrant } from './missing.ts';
import { withOrganization } from './new-metadata.ts';
import { noSuchGrant } from './refusals.ts';
import { checkGrantMetadata } from './store-tokens.ts';

/**
 * Sets and removes members of a grant's metadata; see `Vault.updateMetadata`. This is the only place where a person changes
 * them.
 *
 * The row is locked and merged here, as it is when a refresh saves its answer, so neither loses what the other wrote. A member
 * that the provider's answers bring, such as `api_domain`, is the provider's: the next refresh writes it again.
 */
export async function updateMetadata(
  context: VaultContext,
  key: GrantKey,
  changes: Readonly<Record<string, unknown>>,
): Promise<Grant> {
  const checked = checkKey(key);
  checkObject('metadata', changes);
  const definition = await context.providers.require(checked.provider);
  const set = checkGrantMetadata(
    definition,
    Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null)),
  );
  const found = await findGrant(context.store.db, checked);
  if (found === undefined) throw await missingGrant(context, checked);
  const { id } = found;
  const tenantKeys = await context.keys.pin(checked.tenant, { fresh: true });
  const row = await context.turns.run(checked, () =>
    changing(context, async (change) => {
      const locked = await lockGrant(change.tx, checked.tenant, id);
      if (locked === undefined || locked.state === 'disconnected') throw noSuchGrant(checked);
      const old = metadataOf(locked);
      const nulls = Object.entries(changes).filter(([, value]) => value === null);
      const news = withOrganization(definition, old, { ...set, ...Object.fromEntries(nulls) });
      const metadata = Object.fromEntries(Object.entries({ ...old, ...news }).filter(([, value]) => value !== null));
      checkMetadataSize(metadata);
      const changed = await changeColumns(context, change, { row: locked, tenantKeys }, { metadata });
      // The names only: a value may be about a person.
      const members = Object.keys(news).toSorted().join();
      change.record(locked, { type: 'grant.updated', to: locked.state, reason: locked.reason, details: { members } });
      return changed;
    }),
  );
  return describeGrant(context, row);
}
