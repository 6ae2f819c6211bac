/**
 * A process of its own that works on a store: `migrate`, `count N` (raises the epoch N times), `hang` (dies within the first
 * migration, when it is killed). Says `ready`, and begins when its standard input says something.
 */
import { once } from 'node:events';
import { sql } from 'kysely';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import { openStore } from '../../src/storage/store.ts';

const [job, times = '0'] = process.argv.slice(2);
const database = process.env['STORE'];
if (database === undefined) throw new Error('STORE is not set');

process.stdout.write('ready\n');
await once(process.stdin, 'data');
const store = await openStore({ database, world: systemWorld(), poolMax: 2 });
if (job === 'migrate') await migrate(store, { mode: 'auto' });
if (job === 'hang') {
  await migrate(store, {
    mode: 'auto',
    takeOver: async (tx) => {
      await sql`alter table oauth_tokens add column half_way text`.execute(tx);
      process.stdout.write('half way\n');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    },
  });
}
if (job === 'count') {
  for (let i = 0; i < Number(times); i += 1) {
    await store.transaction(async (tx) => {
      const { epoch } = await tx
        .updateTable('grantry_instance')
        .set((column) => ({ epoch: column('epoch', '+', 1) }))
        .returning('epoch')
        .executeTakeFirstOrThrow();
      await tx
        .insertInto('grantry_token_requests')
        .values({ fingerprint: `epoch ${epoch}`, requests: '[]', last_at: epoch })
        .execute();
    });
  }
}
await store.close();
process.exit(0);
