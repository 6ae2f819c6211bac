import type { Kysely, RawBuilder } from 'kysely';
import type { StoreKind } from '../engine/engine.ts';
import type { Schema } from '../schema.ts';

/** A tenant's key, wrapped. */
export interface TenantKeyRow {
  tenant: string;
  version: number;
  wrapped: string;
}

/** Every version of a tenant's key, oldest first. */
export async function loadTenantKeys(db: Kysely<Schema>, tenant: string): Promise<TenantKeyRow[]> {
  return db
    .selectFrom('grantry_tenant_keys')
    .select(['client_id as tenant', 'version', 'wrapped'])
    .where('client_id', '=', tenant)
    .orderBy('version')
    .execute();
}

/** Returns false when that version exists: another process was faster, and only its key may be used. */
export async function insertTenantKey(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  key: TenantKeyRow,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('grantry_tenant_keys')
    .values({ client_id: key.tenant, version: key.version, wrapped: key.wrapped, created_at: now })
    .onConflict((conflict) => conflict.columns(['client_id', 'version']).doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

/** Every version of many tenants' keys. */
export async function loadKeysOfTenants(db: Kysely<Schema>, tenants: readonly string[]): Promise<TenantKeyRow[]> {
  if (tenants.length === 0) return [];
  return db
    .selectFrom('grantry_tenant_keys')
    .select(['client_id as tenant', 'version', 'wrapped'])
    .where('client_id', 'in', tenants)
    .orderBy('version')
    .execute();
}

/** Inserts many keys, apart from those whose version exists: another process was faster, and only its key may be used. */
export async function insertTenantKeys(
  db: Kysely<Schema>,
  now: RawBuilder<number>,
  keys: readonly TenantKeyRow[],
): Promise<void> {
  if (keys.length === 0) return;
  await db
    .insertInto('grantry_tenant_keys')
    .values(keys.map(({ tenant, version, wrapped }) => ({ client_id: tenant, version, wrapped, created_at: now })))
    .onConflict((conflict) => conflict.columns(['client_id', 'version']).doNothing())
    .execute();
}

/** Shreds everything that was ever sealed for a tenant. Returns how many versions went. */
export async function deleteTenantKeys(db: Kysely<Schema>, tenant: string): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('grantry_tenant_keys')
    .where('client_id', '=', tenant)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/**
 * True while the key that sealed a value stands as it was read. Held until the transaction ends, so that a grant is never
 * stored under a key that is being shredded.
 */
export async function tenantKeyStands(
  tx: Kysely<Schema>,
  kind: StoreKind,
  key: { tenant: string; wrapped: string },
): Promise<boolean> {
  const query = tx
    .selectFrom('grantry_tenant_keys')
    .select('version')
    .where('client_id', '=', key.tenant)
    .where('wrapped', '=', key.wrapped);
  const row = await (kind === 'postgres' ? query.forShare() : query).executeTakeFirst();
  return row !== undefined;
}

/** Keeps everybody else from relying on a tenant's keys until the transaction ends. */
export async function lockTenantKeys(tx: Kysely<Schema>, kind: StoreKind, tenant: string): Promise<void> {
  const query = tx.selectFrom('grantry_tenant_keys').select('version').where('client_id', '=', tenant);
  await (kind === 'postgres' ? query.forUpdate() : query).execute();
}
