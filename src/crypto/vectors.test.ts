import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { isGrantryError } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import { systemWorld } from '../base/system-world.ts';
import type { World } from '../base/world.ts';
import { createFingerprint } from './fingerprint.ts';
import { Pinned } from './pinned-tenant.ts';
import { type StoredTenantKey, TenantKeys } from './tenant-keys.ts';

const hex = z.string().transform((text) => Buffer.from(text, 'hex'));
const place = z.object({
  table: z.string(),
  row: z.string(),
  column: z.string(),
  generation: z.number(),
  facts: z.array(z.string()).optional(),
});
const where = {
  name: z.string(),
  tenantKey: hex,
  keyVersion: z.number(),
  vaultId: z.string(),
  tenant: z.string(),
  place,
};
const wrap = { name: z.string(), rootKey: hex, vaultId: z.string(), tenant: z.string(), version: z.number() };
const code = z.enum(['integrity_failed', 'vault_sealed']);
const records = {
  format: z.string(),
  records: z.array(z.object({ ...where, salt: hex, plaintext: z.string(), sealed: z.string() })).min(7),
  refusedRecords: z.array(z.object({ ...where, sealed: z.string(), expect: code })).min(40),
};
const schema = z.object({
  ...records,
  wraps: z.array(z.object({ ...wrap, salt: hex, tenantKey: hex, wrapped: z.string() })).min(3),
  refusedWraps: z.array(z.object({ ...wrap, wrapped: z.string(), expect: code })).min(10),
  fingerprints: z.array(z.object({ systemKey: hex, secret: z.string(), fingerprint: z.string() })).min(2),
});

const vectors = schema.parse(read('record-v1.json'));
const vectors2 = z.object(records).parse(read('record-v2.json'));

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../test/vectors/${name}`, import.meta.url), 'utf8'));
}

/** Creates a world whose random source returns exactly these bytes, in this order. */
function rolling(...rolls: readonly Uint8Array[]): World {
  const left = [...rolls];
  const randomBytes = (count: number): Uint8Array => {
    const roll = left.shift();
    if (roll?.length !== count) throw new Error('the random source was read in an unexpected way');
    return Uint8Array.from(roll);
  };
  return { ...systemWorld(), randomBytes };
}

function pinned(
  vector: { tenant: string; keyVersion: number; tenantKey: Buffer; vaultId: string },
  world: World,
): Pinned {
  const key = createSecretKey(vector.tenantKey);
  const keys = new Map([[vector.keyVersion, { key, wrapped: '' }]]);
  return new Pinned({ tenant: vector.tenant, keys, vaultId: vector.vaultId, world });
}

function tenantKeys(vector: { rootKey: Buffer; vaultId: string }, rows: StoredTenantKey[], world: World): TenantKeys {
  return new TenantKeys({
    // The vectors hold the form that a key has in a database of 0.1.0.
    rowMacs: false,
    rootKey: createSecretKey(vector.rootKey),
    vaultId: vector.vaultId,
    world,
    store: {
      load: () => Promise.resolve([...rows]),
      insert: (row) => Promise.resolve(void rows.push(row)),
    },
  });
}

describe.each([vectors, vectors2])('$format: records', (file) => {
  test.each(file.records)('$name: seals to the vector, and the vector opens', (vector) => {
    const tenant = pinned(vector, rolling(vector.salt));
    expect(tenant.seal(vector.place, new Secret(vector.plaintext))).toBe(vector.sealed);
    expect(tenant.open(vector.place, vector.sealed).reveal()).toBe(vector.plaintext);
  });

  test.each(file.refusedRecords)('refused: $name', (vector) => {
    expect.assertions(1);
    try {
      pinned(vector, rolling()).open(vector.place, vector.sealed);
    } catch (error) {
      expect(isGrantryError(error, vector.expect)).toBe(true);
    }
  });
});

test.each(vectors.records)('$name: opens beside facts only while format 1 is accepted', (vector) => {
  const key = createSecretKey(vector.tenantKey);
  const keys = new Map([[vector.keyVersion, { key, wrapped: '' }]]);
  const opensWith = (acceptsFormat1: boolean, facts: readonly string[]) => {
    const world = rolling();
    const tenant = new Pinned({ tenant: vector.tenant, keys, vaultId: vector.vaultId, world, acceptsFormat1 });
    return () => tenant.open({ ...vector.place, facts }, vector.sealed).reveal();
  };
  expect(opensWith(true, ['google'])()).toBe(vector.plaintext);
  expect(opensWith(false, ['google'])).toThrow(/cannot be decrypted/);
  expect(opensWith(false, [])).toThrow(/cannot be decrypted/);
});

describe('wraps', () => {
  test.each(vectors.wraps)('$name: the vector unwraps to its key', async (vector) => {
    const { tenant, version, wrapped } = vector;
    const fromWrap = await tenantKeys(vector, [{ tenant, version, wrapped }], rolling(Buffer.alloc(32, 7))).pin(tenant);
    const known = pinned({ ...vector, keyVersion: version }, rolling(Buffer.alloc(32, 7)));
    const at = { table: 't', row: 'r', column: 'c', generation: 1 };
    expect(fromWrap.seal(at, new Secret('FAKE'))).toBe(known.seal(at, new Secret('FAKE')));
  });

  test.each(vectors.wraps.filter((vector) => vector.version === 1))(
    '$name: a new key wraps to the vector',
    async (vector) => {
      const rows: StoredTenantKey[] = [];
      await tenantKeys(vector, rows, rolling(vector.tenantKey, vector.salt)).pin(vector.tenant);
      expect(rows).toEqual([{ tenant: vector.tenant, version: 1, wrapped: vector.wrapped }]);
    },
  );

  test.each(vectors.refusedWraps)('refused: $name', async (vector) => {
    const { tenant, version, wrapped } = vector;
    const keys = tenantKeys(vector, [{ tenant, version, wrapped }], rolling());
    await expect(keys.pin(tenant)).rejects.toMatchObject({ name: 'GrantryError', code: vector.expect });
  });
});

test.each(vectors.fingerprints)('fingerprint $fingerprint', (vector) => {
  expect(createFingerprint(createSecretKey(vector.systemKey))(new Secret(vector.secret))).toBe(vector.fingerprint);
});
