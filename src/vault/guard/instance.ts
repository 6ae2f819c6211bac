import { GrantryError } from '../../base/errors.ts';
import { newUuid } from '../../base/ids.ts';
import type { World } from '../../base/world.ts';
import { createInstance, type InstanceRow, nameInstallation, readInstance } from '../../storage/statements/instance.ts';
import type { Store } from '../../storage/store.ts';

/**
 * Reads what the database knows of itself, and makes it when the schema is new: the vault's id, which is bound into every
 * seal and never changes, and where and as which installation it was made.
 */
export async function openInstance(
  store: Store,
  world: World,
  options: { installation: string | null; scrubPending: boolean },
): Promise<InstanceRow> {
  const known = await readInstance(store.db);
  const isNamed = known?.installation !== null || options.installation === null;
  if (known !== undefined && isNamed) return known;
  if (known === undefined) {
    const place = await store.location();
    await createInstance(store.db, store.now(), {
      vault_id: newUuid(world),
      installation: options.installation,
      ...place,
      scrub_pending: options.scrubPending ? 1 : 0,
    });
  } else if (options.installation !== null) {
    await nameInstallation(store.db, options.installation);
  }
  // Several processes may have been here: only what is read back counts.
  const instance = await readInstance(store.db);
  if (instance === undefined) throw new GrantryError('storage_unavailable', 'The database forgot its identity.');
  return instance;
}
