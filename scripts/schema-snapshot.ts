/**
 * Writes the schema of both databases to test/snapshots, where a test compares it. A released migration is never
 * edited, and a review shows each change of the schema.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemWorld } from '../src/base/system-world.ts';
import { migrate } from '../src/storage/migrations/migrate.ts';
import { openStore } from '../src/storage/store.ts';
import { startPostgres } from '../test/support/postgres-server.ts';
import { dumpSchema } from '../test/support/schema-dump.ts';

const server = await startPostgres();
try {
  await write('sqlite', 'sqlite::memory:');
  await write('postgres', server.url);
} finally {
  await server.remove();
}

async function write(kind: 'sqlite' | 'postgres', database: string): Promise<void> {
  const store = await openStore({ database, world: systemWorld() });
  await migrate(store, { mode: 'auto' });
  const file = join(import.meta.dirname, '..', 'test', 'snapshots', `schema.${kind}.sql`);
  writeFileSync(file, await dumpSchema(store));
  await store.close();
  console.log(`wrote ${file}`);
}
