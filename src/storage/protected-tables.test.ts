import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../test/support/postgres.ts';
import { systemWorld } from '../base/system-world.ts';
import { canonicalRow, rowName } from './canonical-row.ts';
import { migrate } from './migrations/migrate.ts';
import { protectedTableNames, protectedTables } from './protected-tables.ts';
import { type OpenedStore, openStore } from './store.ts';

for (const [kind, scratch] of [
  ['sqlite', async () => scratchSqlite()],
  ['postgres', scratchDatabase],
] as const) {
  test(`every column of a protected table is in the MAC, or excluded for a reason, on ${kind}`, async () => {
    await using place = await scratch();
    const store = await openStore({ database: place.database, world: systemWorld() });
    await migrate(store, { mode: 'auto' });
    for (const table of protectedTableNames) {
      const columns = await columnsOf(store, table);
      expect(Object.keys(protectedTables[table].columns).toSorted(), table).toEqual(
        columns.filter((column) => column !== 'mac').toSorted(),
      );
    }
    await store.close();
  });
}

test('each excluded column says why', () => {
  const excluded = protectedTableNames.flatMap((table) =>
    Object.entries(protectedTables[table].columns)
      .filter(([, rule]) => typeof rule === 'object')
      .map(([column]) => `${table}.${column}`),
  );
  expect(excluded).toEqual(['grantry_api_keys.last_used_at']);
  for (const rule of Object.values(protectedTables.grantry_api_keys.columns)) {
    if (typeof rule === 'object') expect(rule.excluded).toMatch(/^[A-Z].{20,}\.$/);
  }
});

const key = {
  id: 'k1',
  name: 'one',
  role: 'reader',
  key_hash: 'h',
  tenants: '["a","b"]',
  providers: null,
  methods: null,
  origins: '["https://widget.example"]',
  paths: null,
  parent: null,
  revision: null,
  created_at: 1,
  expires_at: null,
  last_used_at: null,
  revoked_at: null,
};

const form = (row: object, table: 'grantry_api_keys' | 'grantry_providers' = 'grantry_api_keys') =>
  JSON.stringify(canonicalRow(table, row));

test('the canonical form differs for every change of a column in the MAC, and for no other', () => {
  const before = form(key);
  for (const [column, rule] of Object.entries(protectedTables.grantry_api_keys.columns)) {
    const changed = [null, 'x', '[]', 2, Number.POSITIVE_INFINITY].filter(
      (value) => value !== Reflect.get(key, column),
    );
    for (const value of changed) {
      const same = form({ ...key, [column]: value }) === before;
      expect(same, `${column} = ${String(value)}`).toBe(typeof rule === 'object');
    }
  }
  // A text never passes for a list, a number or a null.
  const forms = ['[]', '"[]"', 'null', '1', '"1"', '[1]', '["1"]', '{}', '[', ''].map((tenants) =>
    form({ ...key, tenants }),
  );
  expect(new Set(forms).size).toBe(forms.length);
  expect(form({ ...key, name: 'one', role: null })).not.toBe(form({ ...key, name: null, role: 'one' }));
});

test('the canonical form is the same for JSON that PostgreSQL has rewritten', () => {
  const stored = '{"b":[1,2.50,1e3],"a":{"é":"\\u00e9","__proto__":1},"long":null}';
  const rewritten = '{"a": {"é": "é", "__proto__": 1}, "b": [1, 2.50, 1000], "long": null}';
  const row = { id: 'p', created_at: 1, updated_at: 1 };
  const one = form({ ...row, definition: stored }, 'grantry_providers');
  expect(form({ ...row, definition: rewritten }, 'grantry_providers')).toBe(one);
  expect(form({ ...row, definition: stored.replace('__proto__', 'proto') }, 'grantry_providers')).not.toBe(one);
});

test('a column that a later version adds changes no MAC of a row in which it is null', () => {
  expect(form({ ...key, parent: null })).toBe(form(key));
});

test('the name of a row is one line of bounded length for every key', () => {
  expect(rowName('grantry_api_keys', { id: `a\n\u001b[31m${'x'.repeat(500)}` })).toMatch(
    /^grantry_api_keys a\?\?\[31mx{73}\.\.\.$/,
  );
});

async function columnsOf(store: OpenedStore, table: string): Promise<string[]> {
  const query =
    store.kind === 'sqlite'
      ? sql<{ name: string }>`select name from pragma_table_info(${table})`
      : sql<{ name: string }>`select column_name as name from information_schema.columns where table_name = ${table}`;
  return (await query.execute(store.db)).rows.map(({ name }) => name);
}
