import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import { inspectGrantTable, schemaVersionLatest } from '../../src/storage/migrations/version.ts';
import { createInstance, readInstance } from '../../src/storage/statements/instance.ts';
import { openStore } from '../../src/storage/store.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { startProcess } from './processes.ts';

const world = systemWorld();

for (const [name, scratch] of [
  ['sqlite', async () => scratchSqlite()],
  ['postgres', scratchDatabase],
] as const) {
  describe(name, () => {
    test('eight processes that start at once on an empty database all succeed', async () => {
      await using place = await scratch();
      const processes = await Promise.all(Array.from({ length: 8 }, () => startProcess(place.database, ['migrate'])));
      for (const process of processes) process.go();
      const ends = await Promise.all(processes.map((process) => process.ended));
      expect(ends).toEqual(ends.map(() => ({ code: 0, errors: '' })));
      const store = await openStore({ database: place.database, world });
      const versions = await store.db.selectFrom('grantry_schema').select('version').execute();
      expect(versions).toEqual(Array.from({ length: schemaVersionLatest }, (_, index) => ({ version: index + 1 })));
      await store.close();
    });

    test('a process killed in the middle of a migration leaves nothing of it', async () => {
      await using place = await scratch();
      const store = await openStore({ database: place.database, world });
      await sql`create table oauth_tokens (id text primary key, client_id text not null)`.execute(store.db);
      const hanging = await startProcess(place.database, ['hang']);
      hanging.go();
      await hanging.says('half way');
      await hanging.kill();
      expect(await inspectGrantTable(store)).toBe('foreign');
      await expect(sql`select half_way from oauth_tokens`.execute(store.db)).rejects.toMatchObject({
        code: 'internal',
      });
      await expect(migrate(store, { mode: 'auto' })).rejects.toMatchObject({
        code: 'invalid_request',
        action: expect.stringContaining('takeOver: true'),
      });
      await sql`drop table oauth_tokens`.execute(store.db);
      expect(await migrate(store, { mode: 'auto' })).toEqual({ from: 0, to: schemaVersionLatest });
      await store.close();
    });

    test('four processes count together without losing one', async () => {
      await using place = await scratch();
      const store = await openStore({ database: place.database, world });
      await migrate(store, { mode: 'auto' });
      const { location, timeline } = await store.location();
      const instance = { vault_id: 'v', installation: null, location, timeline, scrub_pending: 0 };
      await store.transaction((tx) => createInstance(tx, instance));
      const processes = await Promise.all(
        Array.from({ length: 4 }, () => startProcess(place.database, ['count', '100'])),
      );
      for (const process of processes) process.go();
      const ends = await Promise.all(processes.map((process) => process.ended));
      expect(ends).toEqual(ends.map(() => ({ code: 0, errors: '' })));
      expect((await readInstance(store.db))?.epoch).toBe(401);
      const rows = await store.db.selectFrom('grantry_token_requests').select('last_at').distinct().execute();
      expect(rows).toHaveLength(400);
      await store.close();
    });
  });
}
