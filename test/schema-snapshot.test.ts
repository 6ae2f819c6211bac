import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemWorld } from '../src/base/world.ts';
import { migrate } from '../src/storage/migrations.ts';
import { openStore } from '../src/storage/store.ts';
import { scratchDatabase, scratchSqlite } from './postgres.ts';
import { dumpSchema } from './schema-dump.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  test(`${kind}: the schema is the one in test/snapshots (to renew it: node scripts/schema-snapshot.ts)`, async () => {
    await using scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    const store = await openStore({ database: scratch.database, world: systemWorld() });
    await migrate(store, { mode: 'auto' });
    const dump = await dumpSchema(store);
    await store.close();
    expect(dump).toBe(readFileSync(join(import.meta.dirname, 'snapshots', `schema.${kind}.sql`), 'utf8'));
  });
}
