/** A database of 0.1.0 whose rows get their MACs: once, in the migration, and never again. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemWorld } from '../../src/base/system-world.ts';
import { openVault, type Vault } from '../../src/index.ts';
import { schemaVersion } from '../../src/storage/migrations/version.ts';
import { protectedTableNames } from '../../src/storage/protected-tables.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { findApiKey, hashApiKey } from '../../src/vault/api-keys.ts';
import { checkRows } from '../../src/vault/guard/check-rows.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { loadFixture, readSecrets, worldWith } from '../support/upgrade-fixture.ts';

describe.each(['sqlite', 'postgres'] as const)('the rows of 0.1.0, on %s', (kind) => {
  const secrets = readSecrets(kind, '0.1.0');
  const homes: string[] = [];
  let scratch: { database: string; drop: () => Promise<void> };
  let store: OpenedStore;

  beforeEach(async () => {
    scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    store = await openStore({ database: scratch.database, world: systemWorld() });
    await loadFixture(store, '0.1.0');
  });

  afterEach(async () => {
    await store.close();
    await scratch.drop();
    for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true });
  });

  const newHome = (): string => {
    const home = mkdtempSync(join(tmpdir(), 'grantry-row-macs-'));
    homes.push(home);
    mkdirSync(join(home, 'spool'));
    writeFileSync(join(home, 'root.key'), secrets.rootKey, { mode: 0o600 });
    return home;
  };

  const open = (home: string, more: { migrate?: 'off' } = {}): Promise<Vault> => {
    const rootKey = `file:${join(home, 'root.key')}`;
    const world = worldWith(() => undefined);
    const { database } = scratch;
    return openVault({ database, home, rootKey, installation: 'fixture', backgroundRefresh: false, world, ...more });
  };

  const altered = async (vault: Vault) => (await checkRows(internalsOf(vault).open())).altered;

  const dropGuards = async (): Promise<void> => {
    if (kind === 'postgres') await sql`drop function grantry_refuse() cascade`.execute(store.db);
    else {
      const triggers = sql<{ name: string }>`select name from sqlite_schema where type = 'trigger'`;
      for (const { name } of (await triggers.execute(store.db)).rows)
        await sql`drop trigger ${sql.ref(name)}`.execute(store.db);
    }
    await sql`alter table grantry_candidates drop column retired_at`.execute(store.db);
  };

  /** Brings the database into the form of 0.1.0, with a key of the attacker's own. */
  const putBack = async (): Promise<void> => {
    await store.db.deleteFrom('grantry_schema').where('version', '>', 1).execute();
    await dropGuards();
    for (const table of protectedTableNames)
      await sql`alter table ${sql.table(table)} drop column mac`.execute(store.db);
    await sql`update grantry_api_keys set role = 'admin', tenants = null, key_hash = ${hashApiKey('own')}
      where name = 'reader'`.execute(store.db);
  };

  test('get their MACs when several processes open the database at once', async () => {
    const vaults = await Promise.all([open(newHome()), open(newHome()), open(newHome())]);
    for (const vault of vaults) expect(await altered(vault)).toEqual([]);
    const context = internalsOf(vaults[0] ?? expect.unreachable()).open();
    expect(await findApiKey(context, hashApiKey(secrets.apiKey))).toMatchObject({ apiKey: { role: 'reader' } });
    await Promise.all(vaults.map((vault) => vault.close()));
  });

  test('get them from a role that may migrate, and a role that may not opens the result', async () => {
    const home = newHome();
    await expect(open(home, { migrate: 'off' })).rejects.toMatchObject({ code: 'invalid_request' });
    await (await open(home)).close();
    const vault = await open(newHome(), { migrate: 'off' });
    expect(await altered(vault)).toEqual([]);
    await vault.close();
  });

  test('get none with another root key, and the schema stays', async () => {
    const home = newHome();
    writeFileSync(join(home, 'root.key'), randomBytes(32).toString('base64'));
    await expect(open(home)).rejects.toMatchObject({ code: 'vault_sealed' });
    expect(await schemaVersion(store)).toBe(1);
  });

  test('get none a second time: the home knows better, and so does the key of the system', async () => {
    const home = newHome();
    await (await open(home)).close();
    await putBack();
    for (const place of [home, newHome()]) {
      await expect(open(place)).rejects.toMatchObject({ code: 'integrity_failed' });
      expect(await schemaVersion(store)).toBe(1);
    }
    await store.db.deleteFrom('grantry_tenant_keys').where('tenant', '=', '$system').execute();
    await expect(open(newHome())).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  test('that a program of 0.1.0 inserts or changes afterwards are refused and named', async () => {
    const vault = await open(newHome());
    await sql`insert into grantry_api_keys (id, name, role, key_hash, created_at)
      values ('late', 'late', 'admin', ${hashApiKey('own')}, 1)`.execute(store.db);
    await sql`update grantry_apps set redirect_uri = 'https://elsewhere.example/'`.execute(store.db);
    expect(await altered(vault)).toEqual(['grantry_apps example', 'grantry_api_keys late']);
    expect(await findApiKey(internalsOf(vault).open(), hashApiKey('own'))).toBeNull();
    expect(await vault.keys.list()).toMatchObject([{ name: 'late', integrityFailed: true }, { name: 'reader' }]);
    await expect(vault.apps.get('example')).rejects.toMatchObject({ code: 'integrity_failed' });
    // An administrator makes them again.
    await vault.apps.put('example', { provider: 'example', clientId: 'client', clientSecret: 'client-secret' });
    await vault.keys.revoke('late');
    expect(await altered(vault)).toEqual([]);
    await vault.close();
  });
});

test.each(['sqlite', 'postgres'] as const)('the first changes of a vault may come at once, on %s', async (kind) => {
  const scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
  const home = mkdtempSync(join(tmpdir(), 'grantry-row-macs-'));
  try {
    const vault = await openVault({ database: scratch.database, home, backgroundRefresh: false });
    const names = Array.from({ length: 12 }, (_, at) => `app-${at}`);
    const input = { provider: 'zoho_crm', clientId: 'client', clientSecret: 'client-secret' };
    // Several find the key of the rows missing, and one of them loads it.
    await Promise.all(names.map((name) => vault.apps.put(name, input)));
    expect((await vault.apps.list()).map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    await vault.close();
  } finally {
    await scratch.drop();
    rmSync(home, { recursive: true, force: true });
  }
});
