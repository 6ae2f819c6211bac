import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../test/support/postgres.ts';
import { dumpSchema } from '../../test/support/schema-dump.ts';
import { systemWorld } from '../base/system-world.ts';
import { migrate } from './migrations/migrate.ts';
import { openStore } from './store.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  test(`${kind}: the schema is the one in test/snapshots (to renew it: node scripts/schema-snapshot.ts)`, async () => {
    await using scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    const store = await openStore({ database: scratch.database, world: systemWorld() });
    await migrate(store, { mode: 'auto' });
    const dump = await dumpSchema(store);
    await store.close();
    expect(dump).toBe(readFileSync(join(import.meta.dirname, '../../test/snapshots', `schema.${kind}.sql`), 'utf8'));
  });
}
