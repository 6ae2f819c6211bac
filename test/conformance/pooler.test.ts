/** Everything that a store does, through a pooler that gives each transaction another connection of the server. */
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import { openStore } from '../../src/storage/store.ts';
import { scrubPlaintext } from '../../src/storage/take-over/scrub.ts';
import { hasPgBouncer, type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts';
import { postgresUrl, scratchDatabase } from '../support/postgres.ts';
import { describeStore } from './storage.ts';

describe.skipIf(!hasPgBouncer)('PgBouncer in transaction mode', () => {
  let pooler: PgBouncer;
  beforeAll(async () => {
    pooler = await startPgBouncer(await postgresUrl());
  });
  afterAll(() => pooler.stop());

  describeStore('postgres through a pooler', async () => {
    const scratch = await scratchDatabase();
    return { database: pooler.through(scratch.database), drop: scratch.drop };
  });

  test('a scrub leaves no lock and no setting on a connection that others use next', async () => {
    await using scratch = await scratchDatabase();
    const store = await openStore({ database: pooler.through(scratch.database), world: systemWorld() });
    await migrate(store, { mode: 'auto' });
    expect(await scrubPlaintext(store)).toEqual({ outcome: 'done' });
    expect(await scrubPlaintext(store)).toEqual({ outcome: 'done' });
    const direct = new Client({ connectionString: scratch.database });
    await direct.connect();
    const locks = await direct.query(
      "select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
    );
    expect(locks.rowCount).toBe(0);
    await direct.end();
    const through = new Client({ connectionString: pooler.through(scratch.database) });
    await through.connect();
    expect((await through.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '0' }]);
    await through.end();
    await store.close();
  });
});
