import { generateKeySync, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Secret } from '../base/secret.ts';
import { systemWorld } from '../base/system-world.ts';
import { sealRecord } from './record.ts';
import { type SealPlace, type StoredTenantKey, systemTenant, type TenantKeyStore, TenantKeys } from './tenant-keys.ts';

const place: SealPlace = { table: 'oauth_tokens', row: 'row-1', column: 'refresh_token', generation: 7 };
const secret = new Secret('FAKE-refresh-token');
const tenMinutesMs = 600_000;

/** A table of wrapped keys that yields between its statements, as a database does. */
class Table implements TenantKeyStore {
  rows: StoredTenantKey[] = [];
  loads = 0;
  fails = false;

  async load(tenant: string): Promise<readonly StoredTenantKey[]> {
    this.loads += 1;
    const found = this.rows.filter((row) => row.tenant === tenant);
    await Promise.resolve();
    if (this.fails) throw new Error('the database is gone');
    return found;
  }

  async insert(key: StoredTenantKey): Promise<void> {
    await Promise.resolve();
    const isThere = this.rows.some((row) => row.tenant === key.tenant && row.version === key.version);
    if (!isThere) this.rows.push(key);
  }

  shred(tenant: string): void {
    this.rows = this.rows.filter((row) => row.tenant !== tenant);
  }
}

function aesKey(): KeyObject {
  return generateKeySync('aes', { length: 256 });
}

function makeProcess(
  table: TenantKeyStore,
  options: { rootKey?: KeyObject; vaultId?: string; cacheMax?: number } = {},
) {
  const clock = { ms: 0 };
  const world = { ...systemWorld(), monotonic: () => clock.ms };
  const keys = new TenantKeys({ rootKey: aesKey(), vaultId: 'vault', world, store: table, ...options });
  return { keys, clock };
}

/** Creates a second key as a rotation writes it. */
function version2(rootKey: KeyObject, tenant: string): StoredTenantKey {
  const world = systemWorld();
  const wrapped = sealRecord({
    purpose: 'wrap',
    key: rootKey,
    keyVersion: 2,
    context: ['vault', tenant, '2', ...(tenant === systemTenant ? ['row-macs'] : [])],
    salt: world.randomBytes(32),
    plaintext: world.randomBytes(32),
  });
  return { tenant, version: 2, wrapped };
}

describe('sealing', () => {
  test('gives back what was sealed, and nothing at any other place', async () => {
    const { keys } = makeProcess(new Table());
    const acme = await keys.pin('acme');
    const sealed = acme.seal(place, secret);
    expect(acme.open(place, sealed).reveal()).toBe('FAKE-refresh-token');
    const elsewhere: Partial<SealPlace>[] = [
      { table: 'grantry_candidates' },
      { row: 'row-2' },
      { column: 'access_token' },
      { generation: 6 },
      { generation: 8 },
      { table: 'oauth_tokensr', row: 'ow-1' },
      { row: 'row-1r', column: 'efresh_token' },
    ];
    for (const change of elsewhere) {
      expect(() => acme.open({ ...place, ...change }, sealed)).toThrow(/cannot be decrypted/);
    }
    expect(() => acme.open({ ...place, generation: 0.5 }, sealed)).toThrow('Assertion');
  });

  test('for one tenant never opens for another, for another vault or with another key', async () => {
    const table = new Table();
    const rootKey = aesKey();
    const { keys } = makeProcess(table, { rootKey });
    const sealed = (await keys.pin('acme')).seal(place, secret);
    const foreign = [
      await keys.pin('acme2'),
      await makeProcess(new Table(), { rootKey }).keys.pin('acme'),
      await makeProcess(new Table(), { rootKey, vaultId: 'vault2' }).keys.pin('acme'),
    ];
    const failures = foreign.map((tenant) => {
      try {
        return tenant.open(place, sealed).reveal();
      } catch (error) {
        return inspect(error).split('\n')[0];
      }
    });
    // All errors are equal, so none reveals its reason.
    expect(new Set(failures).size).toBe(1);
    expect(failures[0]).toContain('cannot be decrypted');
  });

  test('keeps any well-formed text, and refuses what UTF-8 would alter', async () => {
    const acme = await makeProcess(new Table()).keys.pin('acme');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2_000 }), fc.nat(), (text, generation) => {
        const sealed = acme.seal({ ...place, generation }, new Secret(text));
        expect(acme.open({ ...place, generation }, sealed).reveal()).toBe(text);
      }),
    );
    expect(() => acme.seal(place, new Secret('FAKE\ud800'))).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
  });

  test('opens closed secrets and shows no key', async () => {
    const { keys } = makeProcess(new Table());
    const acme = await keys.pin('acme');
    const opened = acme.open(place, acme.seal(place, secret));
    expect([String(opened), inspect(opened, { showHidden: true }), JSON.stringify({ opened })]).toEqual([
      '[secret]',
      '[secret]',
      '{"opened":"[secret]"}',
    ]);
    const shown =
      inspect([keys, acme], { showHidden: true, depth: 9, customInspect: false }) + JSON.stringify([keys, acme]);
    expect(shown).not.toMatch(/FAKE|Buffer|SecretKeyObject|#keys/);
  });
});

describe('a tenant’s first key', () => {
  test('is the one that is read back when many processes create it at once', async () => {
    const table = new Table();
    const rootKey = aesKey();
    const tenants = await Promise.all(
      Array.from({ length: 8 }, () => makeProcess(table, { rootKey }).keys.pin('acme')),
    );
    expect(table.rows).toHaveLength(1);
    for (const one of tenants) {
      const sealed = one.seal(place, secret);
      for (const other of tenants) expect(other.open(place, sealed).reveal()).toBe('FAKE-refresh-token');
    }
  });

  test('is refused when it is gone again each time', async () => {
    const table = new Table();
    table.insert = () => Promise.resolve();
    await expect(makeProcess(table).keys.pin('acme')).rejects.toMatchObject({ code: 'storage_unavailable' });
  });
});

describe('unwrapping', () => {
  test('tells another root key from a moved or altered key', async () => {
    const table = new Table();
    const rootKey = aesKey();
    await makeProcess(table, { rootKey }).keys.pin('acme');
    await expect(makeProcess(table).keys.pin('acme')).rejects.toMatchObject({
      code: 'vault_sealed',
      message: 'The root key does not match: this database was created with another one.',
    });
    const [row] = table.rows;
    table.rows = [{ tenant: 'mallory', version: 1, wrapped: row?.wrapped ?? '' }];
    await expect(makeProcess(table, { rootKey }).keys.pin('mallory')).rejects.toMatchObject({
      code: 'integrity_failed',
    });
    for (const version of [0, 2]) {
      table.rows = [{ tenant: 'acme', version, wrapped: row?.wrapped ?? '' }];
      await expect(makeProcess(table, { rootKey }).keys.pin('acme')).rejects.toMatchObject({
        code: 'integrity_failed',
      });
    }
  });

  test('of several versions seals with the newest and opens all', async () => {
    const rootKey = aesKey();
    const table = new Table();
    const old = await makeProcess(table, { rootKey }).keys.pin('acme');
    const sealedBefore = old.seal(place, secret);
    table.rows.push(version2(rootKey, 'acme'));
    const rotated = await makeProcess(table, { rootKey }).keys.pin('acme');
    const sealedAfter = rotated.seal(place, secret);
    expect(rotated.open(place, sealedBefore).reveal()).toBe('FAKE-refresh-token');
    expect(rotated.open(place, sealedAfter).reveal()).toBe('FAKE-refresh-token');
    expect(() => old.open(place, sealedAfter)).toThrow(/cannot be decrypted/);
  });
});

describe('the cache', () => {
  test('loads once for callers at the same time, and for ten minutes', async () => {
    const table = new Table();
    const { keys, clock } = makeProcess(table);
    await Promise.all(Array.from({ length: 50 }, () => keys.pin('acme')));
    expect(table.loads).toBe(2); // nothing stored yet, then the key that was made
    clock.ms = tenMinutesMs - 1;
    await keys.pin('acme');
    expect(table.loads).toBe(2);
    clock.ms = tenMinutesMs;
    await keys.pin('acme');
    expect(table.loads).toBe(3);
  });

  test('keeps no failure', async () => {
    const table = new Table();
    const { keys } = makeProcess(table);
    table.fails = true;
    const both = await Promise.allSettled([keys.pin('acme'), keys.pin('acme')]);
    expect(both.map((one) => one.status)).toEqual(['rejected', 'rejected']);
    table.fails = false;
    await expect(keys.pin('acme')).resolves.toMatchObject({ tenant: 'acme' });
  });

  test('drops the least recently used tenant', async () => {
    const table = new Table();
    const { keys } = makeProcess(table, { cacheMax: 2 });
    for (const tenant of ['a', 'b', 'a', 'c', 'a']) await keys.pin(tenant);
    const before = table.loads;
    await keys.pin('a');
    expect(table.loads).toBe(before);
    await keys.pin('b');
    expect(table.loads).toBe(before + 1);
  });

  test('forgets loaded and loading keys on demand, while pinned keys keep working', async () => {
    const table = new Table();
    const { keys } = makeProcess(table);
    const before = await keys.pin('acme');
    const sealed = before.seal(place, secret);
    keys.forget('acme');
    const loading = keys.pin('acme');
    table.shred('acme');
    keys.forget('acme');
    const after = await keys.pin('acme');
    expect((await loading).open(place, sealed).reveal()).toBe('FAKE-refresh-token');
    expect(before.open(place, sealed).reveal()).toBe('FAKE-refresh-token');
    expect(() => after.open(place, sealed)).toThrow(/cannot be decrypted/);
    expect(await keys.pin('acme')).not.toBe(await loading);
  });

  test('never caches a load that began before forget, even when it ends last', async () => {
    const table = new Table();
    const rootKey = aesKey();
    await makeProcess(table, { rootKey }).keys.pin('acme');
    const gates: (() => void)[] = [];
    const gated: TenantKeyStore = {
      insert: (row) => table.insert(row),
      load: async (tenant) => {
        const found = await table.load(tenant);
        await new Promise<void>((resolve) => gates.push(resolve));
        return found;
      },
    };
    const { keys } = makeProcess(gated, { rootKey });
    const early = keys.pin('acme');
    keys.forget('acme');
    const late = keys.pin('acme');
    await expect.poll(() => gates.length).toBe(2);
    gates[1]?.();
    const expected = await late;
    gates[0]?.();
    expect(await early).not.toBe(expected);
    expect(await keys.pin('acme')).toBe(expected);
  });

  test('notices keys that another process replaced: at once when fresh is set, else after the first failure', async () => {
    const table = new Table();
    const rootKey = aesKey();
    const [here, there] = [makeProcess(table, { rootKey }).keys, makeProcess(table, { rootKey }).keys];
    await here.pin('acme');
    table.shred('acme');
    const remade = await there.pin('acme');
    const sealed = remade.seal(place, secret);
    const stale = await here.pin('acme');
    expect(() => stale.open(place, sealed)).toThrow(/cannot be decrypted/);
    expect((await here.pin('acme')).open(place, sealed).reveal()).toBe('FAKE-refresh-token');

    table.shred('acme');
    there.forget('acme');
    await there.pin('acme');
    const fresh = await here.pin('acme', { fresh: true });
    expect((await there.pin('acme')).open(place, fresh.seal(place, secret)).reveal()).toBe('FAKE-refresh-token');
  });
});

describe('fingerprints', () => {
  test('are equal for equal secrets in every process of a vault, and 128 bits long', async () => {
    const table = new Table();
    const rootKey = aesKey();
    const one = await makeProcess(table, { rootKey }).keys.fingerprinter();
    const two = await makeProcess(table, { rootKey }).keys.fingerprinter();
    expect(one(secret)).toBe(two(new Secret('FAKE-refresh-token')));
    expect(one(secret)).toMatch(/^[0-9a-f]{32}$/);
    expect(one(secret)).not.toBe(one(new Secret('FAKE-refresh-tokem')));
    expect(table.rows.map((row) => row.tenant)).toEqual([systemTenant]);
  });

  test('differ between vaults and survive a rotation of the system’s key', async () => {
    const table = new Table();
    const rootKey = aesKey();
    const before = await makeProcess(table, { rootKey }).keys.fingerprinter();
    table.rows.unshift(version2(rootKey, systemTenant));
    const after = await makeProcess(table, { rootKey }).keys.fingerprinter();
    expect(after(secret)).toBe(before(secret));
    const other = await makeProcess(new Table(), { rootKey }).keys.fingerprinter();
    expect(other(secret)).not.toBe(before(secret));
  });
});
