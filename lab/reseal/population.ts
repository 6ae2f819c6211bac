import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { Secret } from '../../src/base/secret.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { loadRootKey } from '../../src/crypto/root-key.ts';
import { type StoredTenantKey, TenantKeys } from '../../src/crypto/tenant-keys.ts';
import type { WriteTx } from '../../src/storage/database.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { loadFixture, readSecrets } from '../../test/support/upgrade-fixture.ts';

const version = '0.1.0';
const grantsPerTenant = 100;
const rowsPerStatement = 500;

/** A row as the database has it. */
type Row = Readonly<Record<string, unknown>>;

/** The tokens that the grant of a number must give back after the upgrade. */
export function tokensOf(index: number): { account: string; accessToken: string; refreshToken: string } {
  return { account: `grant-${index}`, accessToken: `access-of-${index}`, refreshToken: `refresh-of-${index}` };
}

/** Fills an empty database as a vault of 0.1.0 with so many grants would have, and puts its root key into `home`. */
export async function populate(database: string, home: string, grants: number): Promise<void> {
  const store = await openStore({ database, world: systemWorld() });
  try {
    await loadFixture(store, version);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    writeFileSync(join(home, 'root.key'), readSecrets(store.kind, version).rootKey, { mode: 0o600 });
    await addGrants(store, home, grants);
  } finally {
    await store.close();
  }
}

/** Copies the rows of the fixture. Each tenth grant gets a candidate, a revocation and an API key. */
async function addGrants(store: OpenedStore, home: string, grants: number): Promise<void> {
  const first = async (table: string, where: string): Promise<Row> => {
    const { rows } = await sql<Row>`select * from ${sql.table(table)} where ${sql.raw(where)}`.execute(store.db);
    return rows[0] ?? Promise.reject(new Error(`the fixture has no such row in ${table}`));
  };
  const grant = await first('oauth_tokens', `account = 'active'`);
  const candidate = await first('grantry_candidates', `state = 'untested'`);
  const revocation = await first('grantry_revocations', 'grant_id is not null');
  const apiKey = await first('grantry_api_keys', 'revoked_at is null');
  const madeKeys: StoredTenantKey[] = [];
  const keys = await keysOf(store, home, madeKeys);
  const made = { grants: new Array<Row>(), candidates: new Array<Row>(), revocations: new Array<Row>() };
  const apiKeys: Row[] = [];
  for (let index = 0; index < grants; index += 1) {
    const tenant = `tenant-${Math.floor(index / grantsPerTenant)}`;
    const { account, accessToken, refreshToken } = tokensOf(index);
    const pinned = await keys.pin(tenant);
    // Without facts, a value is sealed in format 1, as 0.1.0 did.
    const seal = (table: string, row: string, column: string, generation: number, text: string): string =>
      pinned.seal({ table, row, column, generation }, new Secret(text));
    const [id, generation] = [randomUUID(), 2];
    made.grants.push({
      ...grant,
      id,
      client_id: tenant,
      account,
      generation,
      refresh_fingerprint: `fingerprint-${index}`,
      access_token: seal('oauth_tokens', id, 'access_token', generation, accessToken),
      refresh_token: seal('oauth_tokens', id, 'refresh_token', generation, refreshToken),
    });
    if (index % 10 !== 0) continue;
    const [candidateId, revocationId] = [randomUUID(), randomUUID()];
    const kept = JSON.stringify({ refreshToken: `candidate-of-${index}`, accessToken: null, expiresAt: null });
    made.candidates.push({
      ...candidate,
      tenant,
      id: candidateId,
      grant_id: id,
      generation,
      token_fingerprint: `candidate-${index}`,
      tokens: seal('grantry_candidates', candidateId, 'tokens', generation, kept),
    });
    made.revocations.push({
      ...revocation,
      tenant,
      id: revocationId,
      grant_id: null,
      account,
      token: seal('grantry_revocations', revocationId, 'token', 0, `revoked-of-${index}`),
    });
    apiKeys.push({ ...apiKey, id: randomUUID(), name: `key-${index}`, key_hash: `hash-${index}` });
  }
  const createdAt = await store.nowMs();
  const tenantKeys = madeKeys.map((key) => ({ ...key, created_at: createdAt }));
  await store.transaction(
    async (tx) => {
      await insertRows(tx, 'grantry_tenant_keys', tenantKeys);
      await insertRows(tx, 'oauth_tokens', made.grants);
      await insertRows(tx, 'grantry_candidates', made.candidates);
      await insertRows(tx, 'grantry_revocations', made.revocations);
      await insertRows(tx, 'grantry_api_keys', apiKeys);
    },
    { long: true },
  );
}

/** Keys as 0.1.0 wrapped them. New ones are collected. */
async function keysOf(store: OpenedStore, home: string, made: StoredTenantKey[]): Promise<TenantKeys> {
  const { vault_id: vaultId } = await store.db
    .selectFrom('grantry_instance')
    .select('vault_id')
    .executeTakeFirstOrThrow();
  const byTenant = new Map<string, StoredTenantKey>();
  return new TenantKeys({
    rootKey: await loadRootKey({ kind: 'file', path: join(home, 'root.key') }),
    vaultId,
    world: systemWorld(),
    rowMacs: false,
    store: {
      load: async (tenant) => [byTenant.get(tenant)].filter((key) => key !== undefined),
      insert: async (key) => {
        byTenant.set(key.tenant, key);
        made.push(key);
      },
    },
  });
}

async function insertRows(tx: WriteTx, table: string, rows: readonly Row[]): Promise<void> {
  for (let at = 0; at < rows.length; at += rowsPerStatement) {
    const batch = rows.slice(at, at + rowsPerStatement);
    const columns = Object.keys(batch[0] ?? {});
    const values = batch.map((row) => sql`(${sql.join(columns.map((column) => row[column]))})`);
    const names = sql.join(columns.map((column) => sql.ref(column)));
    await sql`insert into ${sql.table(table)} (${names}) values ${sql.join(values)}`.execute(tx);
  }
}
