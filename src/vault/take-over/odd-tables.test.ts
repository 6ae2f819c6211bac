import { describe, expect, test } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { askForeign, canary, plainTable, runForeign } from '../../../test/support/take-over/foreign-tables.ts';
import { openIn, scratchHome } from '../../../test/support/take-over/home.ts';
import { planTakeOver } from './plan.ts';

const databases = [
  ['sqlite', async () => scratchSqlite()],
  ['postgres', scratchDatabase],
] as const;

const insert =
  'insert into oauth_tokens (id, client_id, provider, access_token, refresh_token, token_expiry, scopes, metadata)';

describe.each(databases)('%s', (kind, scratch) => {
  test('takes over a table with numeric ids, mixed time formats and missing values', async () => {
    await using db = await scratch();
    using home = scratchHome();
    const [id, number] = kind === 'sqlite' ? ['integer primary key', 'integer'] : ['serial primary key', 'bigint'];
    await runForeign(db.database, [
      `create table oauth_tokens (id ${id}, client_id varchar(40), provider varchar(40), access_token varchar(200),
        refresh_token varchar(200), token_expiry ${number}, scopes varchar(200), metadata text, created_at varchar(40),
        updated_at varchar(40), note varchar(20) not null, state varchar(9) default 'old')`,
      `create table uses (id integer, token_id integer references oauth_tokens(id) on delete cascade)`,
      `insert into oauth_tokens values
        (1, 'acme', 'zoho_crm', 'a${canary}', 'r${canary}', 4070908800, 'a.READ b.ALL', '{"dc":"com.au","n":1}', '2024-05-06 07:08:09', 'Mon, 06 May 2024 07:08:09 GMT', 'kept', 'x'),
        (2, 'beta', 'zoho_crm', 'a${canary}', '', 4070908800000, '["a.READ","b.ALL"]', '"{\\"dc\\":\\"eu\\"}"', '2024-05-06T07:08:09+02:00', '1715000000', 'n', null),
        (3, 'gamma', 'zoho_crm', null, 'r${canary}', null, null, 'not json', null, '', 'n', null),
        (4, 'acme', 'zoho_crm', 'a-old', 'r-old', null, 'a', '{}', '2020-01-01', '2020-01-01', 'older', null),
        (5, 'Müller & Co', 'Zoho CRM', 'a${canary}', 'r${canary}', -1, '{a,b}', '{"raw":{"access_token":"a${canary}"},"copy":"r${canary}"}', null, null, 'n', null),
        (6, null, null, null, 'r${canary}', null, null, null, null, null, 'n', null)`,
      'insert into uses values (10, 1), (11, 4)',
    ]);
    const plan = await planTakeOver({ database: db.database, home: home.path });
    expect(plan.rows.map((row) => [row.tenant, row.provider, row.account, row.dc, row.app, row.state])).toEqual([
      ['', '', 'default', null, null, 'reauthorization_required'],
      ['Müller & Co', 'Zoho CRM', 'default', null, null, 'reauthorization_required'],
      ['acme', 'zoho_crm', 'default', 'au', null, 'active'],
      ['acme', 'zoho_crm', 'duplicate-2', 'us', null, 'active'],
      ['beta', 'zoho_crm', 'default', 'eu', null, 'reauthorization_required'],
      ['gamma', 'zoho_crm', 'default', 'us', null, 'active'],
    ]);
    const gamma = plan.rows.find((row) => row.tenant === 'gamma');
    expect(gamma?.problems.join()).toContain('its refresh token is also the one of ');
    expect(gamma?.problems.join()).toContain('acme/zoho_crm/default');
    expect(plan.rows.find((row) => row.account === 'duplicate-2')?.problems.join()).not.toContain('also the one of');
    await using vault = await openIn(db.database, home, { takeOver: true });
    const key = { tenant: 'acme', provider: 'zoho_crm' };
    const acme = await vault.grants.get(key);
    expect(acme).toMatchObject({
      metadata: { dc: 'au', n: 1 },
      scopes: ['a.READ', 'b.ALL'],
      expiresAt: new Date('2099-01-01T00:00:00Z'),
      createdAt: new Date('2024-05-06T07:08:09Z'),
      updatedAt: new Date('2024-05-06T07:08:09Z'),
    });
    expect((await vault.getAccessToken(key)).accessToken).toBe(`a${canary}`);
    const older = await vault.grants.get({ ...key, account: 'duplicate-2' });
    expect(older?.createdAt).toEqual(new Date('2020-01-01T00:00:00Z'));
    const beta = await vault.grants.get({ tenant: 'beta', provider: 'zoho_crm' });
    expect(beta).toMatchObject({
      state: 'reauthorization_required',
      reason: 'no_refresh_token',
      expiresAt: new Date('2099-01-01T00:00:00Z'),
      createdAt: new Date('2024-05-06T05:08:09Z'),
      updatedAt: new Date(1_715_000_000_000),
      scopes: ['a.READ', 'b.ALL'],
    });
    // An unexpired token is handed out, although it cannot be refreshed.
    expect((await vault.getAccessToken({ tenant: 'beta', provider: 'zoho_crm' })).accessToken).toBe(`a${canary}`);
    expect(await vault.grants.get({ tenant: 'gamma', provider: 'zoho_crm' })).toMatchObject({
      metadata: {},
      expiresAt: null,
    });
    const rows = await askForeign(
      db.database,
      'select id, original_id, note, original_state, client_id, reason, access_token, refresh_token, metadata from oauth_tokens order by original_id',
    );
    expect(rows).toHaveLength(6);
    expect(JSON.stringify(rows)).not.toContain(canary);
    expect(rows.map((row) => String(row['original_id']))).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(rows[0]).toMatchObject({ note: 'kept', original_state: 'x' });
    expect(rows[4]).toMatchObject({ client_id: 'Müller & Co', reason: 'invalid_name' });
    expect(rows[4]?.['refresh_token']).toMatch(/^gry1\./);
    // Rows of other tables still find their token rows, and were not deleted with the old table.
    const joined = 'select u.id from uses u join oauth_tokens t on t.original_id = u.token_id order by u.id';
    expect(await askForeign(db.database, joined)).toHaveLength(2);
    // A grant that is made later has no value in the foreign columns.
    await vault.apps.put('crm', { provider: 'zoho_crm', clientId: 'id', clientSecret: 'secret' });
    await vault.storeTokens({ tenant: 'delta', provider: 'zoho_crm' }, { refreshToken: 'x' });
    await vault.storeTokens({ tenant: 'gamma', provider: 'zoho_crm' }, { refreshToken: 'y' });
  });

  test('views, indexes, triggers and foreign keys on the table do not stand in the way', async () => {
    await using db = await scratch();
    using home = scratchHome();
    const trigger =
      kind === 'sqlite'
        ? [`create trigger audit after update on oauth_tokens begin insert into log values (old.access_token); end`]
        : [
            `create function audit() returns trigger language plpgsql as 'begin insert into log values (old.access_token); return new; end'`,
            'create trigger audit after update on oauth_tokens for each row execute function audit()',
          ];
    await runForeign(
      db.database,
      [
        plainTable[kind].replace(
          'client_id text not null',
          'client_id varchar(50) not null references clients(id) on delete cascade',
        ),
        'create table clients (id varchar(50) primary key)',
      ].toReversed(),
    );
    await runForeign(db.database, [
      `create table log (entry text)`,
      `create table calls (token_id ${kind === 'sqlite' ? 'text' : 'uuid'} references oauth_tokens(id) on delete cascade)`,
      'create index by_expiry on oauth_tokens (token_expiry)',
      'create index by_token on oauth_tokens (access_token)',
      'create unique index oauth_tokens_key on oauth_tokens (client_id, provider)',
      'create view expiring as select client_id, provider, token_expiry from oauth_tokens',
      'create view soon as select client_id from expiring',
      ...trigger,
      `insert into clients values ('acme')`,
      `${insert} values ('11111111-1111-4111-8111-111111111111', 'acme', 'zoho_crm', 'a${canary}', 'r', null, 'a', '{}')`,
      `insert into calls values ('11111111-1111-4111-8111-111111111111')`,
    ]);
    const plan = await planTakeOver({ database: db.database, home: home.path });
    expect(plan.dropped.map((part) => part.name)).toEqual(
      expect.arrayContaining(['audit', 'by_token', 'oauth_tokens_key']),
    );
    await using vault = await openIn(db.database, home, { takeOver: true });
    expect(await vault.grants.get({ tenant: 'acme', provider: 'zoho_crm' })).toMatchObject({ state: 'active' });
    expect(await askForeign(db.database, 'select * from log')).toEqual([]);
    expect(await askForeign(db.database, 'select * from soon')).toEqual([{ client_id: 'acme' }]);
    expect(await askForeign(db.database, 'select * from calls')).toHaveLength(1);
    const indexes = await askForeign(
      db.database,
      kind === 'sqlite'
        ? `select name from sqlite_schema where type = 'index' and tbl_name = 'oauth_tokens'`
        : `select indexname as name from pg_indexes where tablename = 'oauth_tokens'`,
    );
    expect(indexes.map((index) => index['name'])).toEqual(expect.arrayContaining(['by_expiry', 'oauth_tokens_key']));
    expect(indexes.map((index) => index['name'])).not.toContain('by_token');
    // A tenant unknown to the old program can be stored.
    await vault.apps.put('crm', { provider: 'zoho_crm', clientId: 'id', clientSecret: 'secret' });
    await vault.storeTokens({ tenant: 'new', provider: 'zoho_crm' }, { refreshToken: 'x' });
    await vault.storeTokens({ tenant: 'acme', provider: 'zoho_crm', account: 'second' }, { refreshToken: 'z' });
  });

  test('makes inserts, upserts and updates of the old program fail after the take-over', async () => {
    await using db = await scratch();
    using home = scratchHome();
    await runForeign(db.database, [plainTable[kind]]);
    const values = (client: string) =>
      `('22222222-2222-4222-8222-22222222222${client.length}', '${client}', 'zoho_crm', 'plain', 'plain', null, 'a', '{}')`;
    const upsert = `${insert} values ${values('acme')}
      on conflict (client_id, provider) do update set access_token = excluded.access_token`;
    await runForeign(db.database, [upsert]);
    await (await openIn(db.database, home, { takeOver: true })).close();
    for (const statement of [
      upsert,
      `${insert} values ${values('other')}`,
      `update oauth_tokens set access_token = 'plain' where client_id = 'acme'`,
      `update oauth_tokens set refresh_token = 'plain' where client_id = 'acme'`,
    ]) {
      await expect(runForeign(db.database, [statement])).rejects.toThrow();
    }
  });

  test('refuses an unsuitable table and leaves it unchanged', async () => {
    await using db = await scratch();
    using home = scratchHome();
    await runForeign(db.database, ['create table oauth_tokens (id integer, client_id text, access_token text)']);
    const plan = await planTakeOver({ database: db.database, home: home.path });
    expect(plan.refusals).toEqual(['it has no column provider, refresh_token, so it is no table of tokens']);
    await expect(openIn(db.database, home, { takeOver: true })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await askForeign(db.database, 'select * from oauth_tokens')).toEqual([]);
    await expect(openIn(db.database, home)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
