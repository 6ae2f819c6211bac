import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { dumpSchema } from '../../../test/support/schema-dump.ts';
import { askForeign, plainRows, plainTable, runForeign } from '../../../test/support/take-over/foreign-tables.ts';
import { openIn, scratchHome } from '../../../test/support/take-over/home.ts';
import { systemWorld } from '../../base/system-world.ts';
import { openStore } from '../../storage/store.ts';

const databases = [
  ['sqlite', async () => scratchSqlite()],
  ['postgres', scratchDatabase],
] as const;

describe.each(databases)('%s', (kind, scratch) => {
  test('refuses a plain table until a take-over is allowed, and then serves its grants', async () => {
    await using db = await scratch();
    using home = scratchHome();
    await runForeign(db.database, [plainTable[kind], plainRows(kind, 450)]);
    await expect(openIn(db.database, home)).rejects.toMatchObject({
      code: 'invalid_request',
      action: expect.stringContaining('grantry init'),
    });
    const progress: { sealed: number; total: number }[] = [];
    await using vault = await openIn(db.database, home, { takeOver: true, onTakeOver: (at) => progress.push(at) });
    expect(await vault.getAccessToken({ tenant: 'tenant-7', provider: 'zoho_crm' })).toMatchObject({
      accessToken: '1000.CANARYplaintextaccess7',
      scopes: ['a.READ', 'b.ALL'],
      apiDomain: 'https://www.zohoapis.com',
      generation: 1,
      expiresAt: new Date('2099-01-01T00:00:00Z'),
    });
    expect(await vault.grants.get({ tenant: 'tenant-8', provider: 'zoho_crm' })).toMatchObject({
      state: 'active',
      dc: 'us',
      app: null,
      createdAt: new Date('2024-01-01T00:00:00Z'),
      updatedAt: new Date('2024-01-02T00:00:00Z'),
    });
    const [kept] = await askForeign(db.database, `select id from oauth_tokens where client_id = 'tenant-8'`);
    expect(kept?.['id']).toBe('00000000-0000-4000-8000-000000000008');
    expect(progress.at(-1)).toEqual({ sealed: 450, total: 450 });
    const [row] = await askForeign(db.database, 'select scrub_pending from grantry_instance');
    expect(Number(row?.['scrub_pending'])).toBe(0);
    const left = `select count(*) as n from oauth_tokens where access_token not like 'gry1.%' or refresh_token not like 'gry1.%'
      or generation <> 1`;
    expect(Number((await askForeign(db.database, left))[0]?.['n'])).toBe(0);
  });

  test('makes the schema of a new database', async () => {
    await using db = await scratch();
    using home = scratchHome();
    await runForeign(db.database, [plainTable[kind], plainRows(kind, 3)]);
    await (await openIn(db.database, home, { takeOver: true })).close();
    const store = await openStore({ database: db.database, world: systemWorld() });
    const snapshot = readFileSync(`test/snapshots/schema.${kind}.sql`, 'utf8');
    // PostgreSQL keeps the columns of a table that was altered in the order in which they came.
    const sorted = (text: string) => (kind === 'postgres' ? text.split('\n').toSorted().join('\n') : text);
    expect(sorted(await dumpSchema(store))).toBe(sorted(snapshot));
    await store.close();
  });
});
