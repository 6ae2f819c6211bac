import type { KeyObject } from 'node:crypto';
import { GrantryError, isGrantryError } from '../../base/errors.ts';
import type { World } from '../../base/world.ts';
import { integrityFailed, type StoredTenantKey, systemTenant, TenantKeys } from '../../crypto/tenant-keys.ts';
import { canonicalRow } from '../../storage/canonical-row.ts';
import type { WriteTx } from '../../storage/database.ts';
import type { RowAdoption } from '../../storage/migrations/migrate.ts';
import { firstProtectedTables } from '../../storage/protected-tables.ts';
import { readInstance } from '../../storage/statements/instance.ts';
import { allRows, setRowMac } from '../../storage/statements/row-macs.ts';
import {
  hasTenantKeys,
  insertTenantKey,
  loadTenantKeys,
  rewrapTenantKey,
} from '../../storage/statements/tenant-keys.ts';
import type { OpenedStore } from '../../storage/store.ts';
import type { HighWaterMarks } from './high-water-mark.ts';

export interface Adoption {
  readonly rootKey: KeyObject;
  readonly world: World;
  readonly marks: HighWaterMarks;
  /** Seals every value anew. `keys` opens values of both formats. */
  readonly reseal: (tx: WriteTx, keys: TenantKeys) => Promise<void>;
}

/**
 * Returns the steps that reseal the values of 0.1.0 and give its rows their MACs, for the transaction of that migration. They
 * happen once.
 *
 * A writer of the database could bring the schema back, so that foreign rows are adopted. So the home remembers the vault, and
 * the system tenant's key takes a form in which the step does not open it.
 *
 * @throws {GrantryError} `integrity_failed` if the home has seen this vault with MACs
 */
export async function rowAdoption(
  store: OpenedStore,
  { rootKey, world, marks, reseal }: Adoption,
): Promise<RowAdoption> {
  const vaultId = (await readInstance(store.db))?.vault_id;
  if (vaultId !== undefined && marks.hasRowMacs(vaultId)) {
    throw new GrantryError(
      'integrity_failed',
      'The database looks like one of Grantry 0.1.0, but this home has seen it with a newer schema.',
      {
        action:
          'The schema was put back, or a backup from before the upgrade was restored. Restore a newer backup. If you ' +
          'restored the old one yourself and trust it: remove seen.json from the home, then run grantry migrate.',
      },
    );
  }
  // Without an identity the vault was never opened, and has no rows.
  if (vaultId === undefined) return { before: async () => {}, after: async () => {} };
  const options = { rootKey, vaultId, world };
  let system: StoredTenantKey[] = [];
  return {
    before: async (tx) => {
      system = await markSystemKeys(tx, options);
      await reseal(tx, new TenantKeys({ ...options, store: readOnly(tx, system), acceptsFormat1: true }));
    },
    after: async (tx) => {
      const rowMac = await new TenantKeys({ ...options, store: storeOf(system) }).rowMac();
      for (const table of firstProtectedTables) {
        for await (const row of allRows(tx, table))
          await setRowMac(tx, table, row, rowMac.mac(canonicalRow(table, row)));
      }
    },
  };
}

/** Wraps the system tenant's keys in the form of a database with MACs. Returns them. */
async function markSystemKeys(
  tx: WriteTx,
  options: { rootKey: KeyObject; vaultId: string; world: World },
): Promise<StoredTenantKey[]> {
  const stored = await loadTenantKeys(tx, systemTenant);
  if (stored.length === 0) {
    // A vault makes this key before its first grant, so another program has removed it.
    if (await hasTenantKeys(tx)) throw putBack();
    const made: StoredTenantKey[] = [];
    const keys = new TenantKeys({ ...options, store: storeOf(made) });
    await keys.pin(systemTenant);
    for (const key of made) await insertTenantKey(tx, key);
    return made;
  }
  const before = new TenantKeys({ ...options, rowMacs: false, store: storeOf(stored) });
  try {
    const wrapped = before.wrapForRowMacs(stored);
    for (const key of wrapped) await rewrapTenantKey(tx, key);
    return wrapped;
  } catch (error) {
    throw isGrantryError(error, 'integrity_failed') ? putBack(error) : error;
  }
}

/** The keys of all tenants within the transaction. A tenant without keys has no value that opens. */
function readOnly(tx: WriteTx, system: readonly StoredTenantKey[]) {
  return {
    load: async (tenant: string) => (tenant === systemTenant ? system : await loadTenantKeys(tx, tenant)),
    insert: () => Promise.reject(integrityFailed()),
  };
}

function storeOf(keys: StoredTenantKey[]) {
  return { load: async () => keys, insert: async (key: StoredTenantKey) => void keys.push(key) };
}

function putBack(cause?: unknown): GrantryError {
  return new GrantryError(
    'integrity_failed',
    'The schema is that of Grantry 0.1.0, and the key of the system is not: the schema was put back.',
    { action: 'Restore the database from a backup. Find out who can write to it.', cause },
  );
}
