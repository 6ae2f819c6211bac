import { expect, test } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { systemWorld } from '../../base/system-world.ts';
import { openStore } from '../store.ts';
import { migrate } from './migrate.ts';
import { inspectGrantTable, schemaVersion, schemaVersionLatest } from './version.ts';

const world = systemWorld();

for (const [name, scratch] of [
  ['sqlite', async () => scratchSqlite()],
  ['postgres', scratchDatabase],
] as const) {
  test(`${name}: a new database gets the schema once`, async () => {
    await using place = await scratch();
    const store = await openStore({ database: place.database, world });
    expect(await schemaVersion(store)).toBe(0);
    expect(await inspectGrantTable(store)).toBe('absent');
    await expect(migrate(store, { mode: 'off' })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await migrate(store, { mode: 'auto' })).toEqual({ from: 0, to: schemaVersionLatest });
    expect(await inspectGrantTable(store)).toBe('ours');
    expect(await migrate(store, { mode: 'off' })).toEqual({ from: schemaVersionLatest, to: schemaVersionLatest });
    await store.close();
  });
}
