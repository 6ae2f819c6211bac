import { assert } from '../../base/errors.ts';
import { changedOne, changedRows, findsOne, type Reader, type WriteTx } from '../database.ts';

/** A tenant's key, wrapped. */
export interface TenantKeyRow {
  tenant: string;
  version: number;
  wrapped: string;
}

/** Every version of a tenant's key, oldest first. */
export async function loadTenantKeys(db: Reader, tenant: string): Promise<TenantKeyRow[]> {
  return loadKeysOfTenants(db, [tenant]);
}

/** Returns false when that version exists: another process was faster, and only its key may be used. */
export async function insertTenantKey(tx: WriteTx, key: TenantKeyRow): Promise<boolean> {
  return (await insertTenantKeys(tx, [key])) === 1;
}

/** Every version of many tenants' keys. */
export async function loadKeysOfTenants(db: Reader, tenants: readonly string[]): Promise<TenantKeyRow[]> {
  if (tenants.length === 0) return [];
  return db
    .selectFrom('grantry_tenant_keys')
    .select(['tenant', 'version', 'wrapped'])
    .where('tenant', 'in', tenants)
    .orderBy('version')
    .execute();
}

/**
 * Inserts keys, except versions that exist: another process was faster, and only its key may be used. Returns how many it
 * inserted.
 */
export async function insertTenantKeys(tx: WriteTx, keys: readonly TenantKeyRow[]): Promise<number> {
  if (keys.length === 0) return 0;
  return tx
    .insertInto('grantry_tenant_keys')
    .values(keys.map(({ tenant, version, wrapped }) => ({ tenant, version, wrapped, created_at: tx.now })))
    .onConflict((conflict) => conflict.columns(['tenant', 'version']).doNothing())
    .$call(changedRows);
}

/** Tells whether any tenant has a key. */
export async function hasTenantKeys(db: Reader): Promise<boolean> {
  return findsOne(db.selectFrom('grantry_tenant_keys').select('tenant'));
}

/** Replaces the wrapped form of a key. */
export async function rewrapTenantKey(tx: WriteTx, { tenant, version, wrapped }: TenantKeyRow): Promise<void> {
  const update = tx.updateTable('grantry_tenant_keys').set({ wrapped });
  const isSet = await changedOne(update.where('tenant', '=', tenant).where('version', '=', version));
  assert(isSet, 'the key exists before it is wrapped anew');
}

/** Shreds everything that was ever sealed for a tenant. Returns how many versions of the key it deleted. */
export async function deleteTenantKeys(tx: WriteTx, tenant: string): Promise<number> {
  return changedRows(tx.deleteFrom('grantry_tenant_keys').where('tenant', '=', tenant));
}

/**
 * Returns true while the key that sealed a value is unchanged, and keeps it so until the transaction ends: no grant is
 * stored under a key that another process shreds.
 */
export async function tenantKeyStands(tx: WriteTx, key: { tenant: string; wrapped: string }): Promise<boolean> {
  const query = tx
    .selectFrom('grantry_tenant_keys')
    .select('version')
    .where('tenant', '=', key.tenant)
    .where('wrapped', '=', key.wrapped);
  return (await tx.locked(query, 'share').executeTakeFirst()) !== undefined;
}

/** Keeps other transactions from relying on a tenant's keys until this one ends. */
export async function lockTenantKeys(tx: WriteTx, tenant: string): Promise<void> {
  const query = tx.selectFrom('grantry_tenant_keys').select('version').where('tenant', '=', tenant);
  await tx.locked(query).execute();
}
