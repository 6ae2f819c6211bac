import { GrantryError } from '../../base/errors.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import { findGrant, lockGrant, metadataOf, updateMetadata as writeMetadata } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import { checkMetadataSize, checkObject } from '../checks.ts';
import { isoNow, type VaultContext } from '../context.ts';
import type { Grant } from '../types.ts';
import { describeGrant } from './grants.ts';
import { missingGrant } from './missing.ts';
import { noSuchGrant } from './refusals.ts';
import { checkGrantMetadata } from './store-tokens.ts';

/** Sets and removes members of a grant's metadata; see `Vault.updateMetadata`. */
export async function updateMetadata(
  context: VaultContext,
  key: GrantKey,
  changes: Readonly<Record<string, unknown>>,
): Promise<Grant> {
  const checked = checkKey(key);
  checkObject('metadata', changes);
  const removed = Object.keys(changes).filter((name) => changes[name] === null);
  const definition = await context.providers.require(checked.provider);
  const set = checkGrantMetadata(
    definition,
    Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null)),
  );
  const found = await findGrant(context.store.db, checked);
  if (found === undefined) throw await missingGrant(context, checked);
  const { id } = found;
  const row = await context.turns.run(checked, () =>
    changing(context, async ({ tx }) => {
      const locked = await lockGrant(tx, checked.tenant, id);
      if (locked === undefined || locked.state === 'disconnected') throw noSuchGrant(checked);
      const kept = Object.entries(metadataOf(locked)).filter(([name]) => !removed.includes(name));
      const metadata = { ...Object.fromEntries(kept), ...set };
      checkMetadataSize(metadata);
      const at = isoNow(context);
      if (!(await writeMetadata(tx, { tenant: checked.tenant, id, at }, { metadata }))) {
        throw new GrantryError('internal', 'A grant changed under its lock.');
      }
      return { ...locked, metadata: JSON.stringify(metadata), updated_at: at };
    }),
  );
  return describeGrant(context, row);
}
