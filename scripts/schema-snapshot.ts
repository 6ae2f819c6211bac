/**
 * Writes what follows from the schema of a migrated database: its text for both databases into test/snapshots, and the
 * tables of the Drizzle schemas. Tests compare the files, so that a review sees every change of the schema.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemWorld } from '../src/base/system-world.ts';
import { migrate } from '../src/storage/migrations/migrate.ts';
import { openStore } from '../src/storage/store.ts';
import { drizzleTables } from '../test/support/drizzle-schema.ts';
import { startPostgres } from '../test/support/postgres-server.ts';
import { dumpSchema } from '../test/support/schema-dump.ts';

const server = await startPostgres();
try {
  const sqlite = await migrated('sqlite::memory:');
  const postgres = await migrated(server.url);
  for (const store of [sqlite, postgres]) write(`test/snapshots/schema.${store.kind}.sql`, await dumpSchema(store));
  write('src/adapters/drizzle/tables.ts', await drizzleTables(sqlite, postgres));
  for (const store of [sqlite, postgres]) await store.close();
} finally {
  await server.remove();
}

async function migrated(database: string) {
  const store = await openStore({ database, world: systemWorld() });
  await migrate(store, { mode: 'auto' });
  return store;
}

function write(name: string, text: string): void {
  writeFileSync(join(import.meta.dirname, '..', name), text);
  console.log(`wrote ${name}`);
}
