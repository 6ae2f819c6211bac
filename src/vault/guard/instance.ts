import { GrantryError } from '../../base/errors.ts';
import { newUuid } from '../../base/ids.ts';
import type { World } from '../../base/world.ts';
import { createInstance, type InstanceRow, nameInstallation, readInstance } from '../../storage/statements/instance.ts';
import type { Store } from '../../storage/store.ts';
import type { WriteInstance } from './guard.ts';

/**
 * Reads the identity of the database, and creates it for a new schema. It holds the vault's id, the place, and the
 * installation's name. Every seal binds the id, which never changes.
 */
export async function openInstance(
  store: Store,
  write: WriteInstance,
  world: World,
  options: { installation: string | null; scrubPending: boolean },
): Promise<InstanceRow> {
  const known = await readInstance(store.db);
  const isNamed = known?.installation !== null || options.installation === null;
  if (known !== undefined && isNamed) return known;
  if (known === undefined) {
    const place = await store.location();
    const identity = {
      vault_id: newUuid(world),
      installation: options.installation,
      ...place,
      scrub_pending: options.scrubPending ? 1 : 0,
    };
    await write(({ tx }) => createInstance(tx, identity));
  } else {
    await write(({ tx }) => nameInstallation(tx, options.installation ?? ''));
  }
  // Several processes may do this at once, so only the row that is read back counts.
  const instance = await readInstance(store.db);
  if (instance === undefined) {
    throw new GrantryError('storage_unavailable', 'The table grantry_instance is empty.', {
      action: 'Restore the database from a backup.',
    });
  }
  return instance;
}
