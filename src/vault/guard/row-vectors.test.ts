import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { silentLogger } from '../../base/log.ts';
import { systemWorld } from '../../base/system-world.ts';
import { createRowMac } from '../../crypto/row-mac.ts';
import { type StoredTenantKey, systemTenant, TenantKeys } from '../../crypto/tenant-keys.ts';
import { canonicalRow } from '../../storage/canonical-row.ts';
import { protectedTableNames } from '../../storage/protected-tables.ts';
import { VaultRowMacs } from './row-macs.ts';

const hex = z.string().transform((text) => Buffer.from(text, 'hex'));
const table = z.enum(protectedTableNames);
const row = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));
const wrap = { name: z.string(), rootKey: hex, vaultId: z.string(), version: z.number() };
const schema = z.object({
  vaultId: z.string(),
  systemKeys: z.record(z.string(), hex),
  rows: z.array(
    z.object({
      name: z.string(),
      table,
      keyVersion: z.number(),
      row,
      sameRow: row,
      canonical: z.array(z.string()),
      mac: z.string(),
    }),
  ),
  refusedRows: z.array(z.object({ name: z.string(), table, row, mac: z.string() })).min(20),
  wraps: z
    .array(z.object({ ...wrap, tenant: z.literal(systemTenant), salt: hex, tenantKey: hex, wrapped: z.string() }))
    .min(3),
  rewraps: z.array(z.object({ ...wrap, salt: hex, before: z.string(), after: z.string() })).min(2),
  refusedWraps: z
    .array(
      z.object({
        ...wrap,
        tenant: z.string(),
        wrapped: z.string(),
        expect: z.enum(['integrity_failed', 'vault_sealed']),
      }),
    )
    .min(8),
});
const file = new URL('../../../test/vectors/row-mac-v1.json', import.meta.url);
const vectors = schema.parse(JSON.parse(readFileSync(file, 'utf8')));

const systemKeys = new Map(
  Object.entries(vectors.systemKeys).map(([version, key]) => [Number(version), createSecretKey(key)]),
);
const macUnder = (version: number) => createRowMac(systemKeys, version, vectors.vaultId);

/** Keys whose store holds these rows, and whose random source returns exactly these bytes. */
function keysOf(
  { rootKey, vaultId }: { rootKey: Buffer; vaultId: string },
  stored: StoredTenantKey[],
  { rolls = [], rowMacs = true }: { rolls?: Buffer[]; rowMacs?: boolean } = {},
): TenantKeys {
  const randomBytes = (count: number): Uint8Array => {
    const roll = rolls.shift();
    if (roll?.length !== count) throw new Error('the random source was read in an unexpected way');
    return Uint8Array.from(roll);
  };
  return new TenantKeys({
    rootKey: createSecretKey(rootKey),
    vaultId,
    world: { ...systemWorld(), randomBytes },
    store: {
      load: () => Promise.resolve([...stored]),
      insert: (made) => Promise.resolve(void stored.push(made)),
    },
    rowMacs,
  });
}

describe('MACs of rows', () => {
  test('each protected table has a vector', () => {
    expect(new Set(vectors.rows.map((vector) => vector.table))).toEqual(new Set(protectedTableNames));
  });

  test.each(vectors.rows)('$name: the row has the canonical form and the MAC of the vector', (vector) => {
    const canonical = canonicalRow(vector.table, vector.row);
    expect(canonical).toEqual(vector.canonical);
    expect(macUnder(vector.keyVersion).mac(canonical)).toBe(vector.mac);
    expect(macUnder(2).verify(canonical, vector.mac)).toBe(true);
  });

  test.each(vectors.rows)('$name: the MAC holds as the other database writes the row', (vector) => {
    expect(macUnder(1).verify(canonicalRow(vector.table, vector.sameRow), vector.mac)).toBe(true);
  });

  test.each(vectors.refusedRows)('refused: $name', (vector) => {
    expect(macUnder(2).verify(canonicalRow(vector.table, vector.row), vector.mac)).toBe(false);
  });
});

describe('the wrap of the key of rows', () => {
  test.each(vectors.wraps)('$name: the vector unwraps to its key', async (vector) => {
    const { tenant, version, wrapped, tenantKey } = vector;
    const seal = new VaultRowMacs({
      keys: keysOf(vector, [{ tenant, version, wrapped }]),
      logger: silentLogger,
      monotonic: () => 0,
    });
    await seal.prepare();
    const known = createRowMac(new Map([[version, createSecretKey(tenantKey)]]), version, vector.vaultId);
    expect(seal.mac(['a'])).toBe(known.mac(['a']));
  });

  test('a new key wraps to the vector', async () => {
    const vector = vectors.wraps.find(({ version }) => version === 1) ?? expect.unreachable('there is one');
    const stored: StoredTenantKey[] = [];
    await keysOf(vector, stored, { rolls: [vector.tenantKey, vector.salt] }).rowMac();
    expect(stored).toEqual([{ tenant: systemTenant, version: 1, wrapped: vector.wrapped }]);
  });

  test.each(vectors.rewraps)('$name: the upgrade wraps to the vector', (vector) => {
    const { version, salt, before, after } = vector;
    const old = { tenant: systemTenant, version, wrapped: before };
    const made = keysOf(vector, [old], { rolls: [salt], rowMacs: false }).wrapForRowMacs([old]);
    expect(made).toEqual([{ tenant: systemTenant, version, wrapped: after }]);
  });

  test.each(vectors.refusedWraps)('refused: $name', async (vector) => {
    const { tenant, version, wrapped } = vector;
    const keys = keysOf(vector, [{ tenant, version, wrapped }]);
    await expect(keys.pin(tenant)).rejects.toMatchObject({ name: 'GrantryError', code: vector.expect });
  });
});
