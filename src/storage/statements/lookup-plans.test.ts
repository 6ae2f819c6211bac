/** The look-ups of a grant's events and of an organisation's tenants use their indexes. */
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { postgresPlan, sqlitePlan, statementOf } from '../../../test/support/query-plan.ts';
import { systemWorld } from '../../base/system-world.ts';
import type { Reader } from '../database.ts';
import { lookups as lookupIndexes } from '../migrations/0008-lookups.ts';
import { migrate } from '../migrations/migrate.ts';
import { type OpenedStore, openStore, type StoreKind } from '../store.ts';
import { findConsent, isNamedInEvent, listEvents } from './events.ts';
import { grantsInOrganization } from './organizations.ts';

const rows = 3_000;
const grantId = '00000000-0000-4000-8000-000000000001';
const ofGrant = { tenant: 'acme', grantId };

const events = /grantry_events_grant/;
const lookups: readonly [string, RegExp, (db: Reader, kind: StoreKind) => Promise<unknown>][] = [
  ['the events of a grant', events, (db) => listEvents(db, { ...ofGrant, limit: 10 })],
  ['the consent of a grant', events, (db) => findConsent(db, { ...ofGrant, authorizedGeneration: 1 })],
  ['a token among the events', events, (db) => isNamedInEvent(db, { ...ofGrant, member: 'fingerprint', value: 'x' })],
  [
    'the tenants of an organisation',
    /oauth_tokens_organization/,
    (db, kind) =>
      grantsInOrganization({ db, kind }, { tenant: 'acme', providers: ['zoho', 'zoho_crm'], ids: ['42', '43'] }),
  ],
];

describe('on sqlite', () => {
  it.each(lookups)('%s are found by the index', async (_name, index, look) => {
    await using scratch = scratchSqlite();
    const store = await filled(scratch.database);
    const statement = await lookUp(store, look);
    await store.close();
    using database = new DatabaseSync(scratch.path);
    const said = sqlitePlan(database, statement);
    expect(said).toMatch(index);
    expect(said).not.toMatch(/SCAN/);
  });
});

describe('on postgres', () => {
  it.each(lookups)('%s are found by the index', async (_name, index, look) => {
    await using scratch = await scratchDatabase();
    const store = await filled(scratch.database);
    const statement = await lookUp(store, look);
    await store.close();
    const client = new Client({ connectionString: scratch.database });
    await client.connect();
    await client.query('analyze');
    const said = await postgresPlan(client, statement);
    await client.end();
    expect(said).toMatch(index);
    expect(said).not.toContain('Seq Scan');
  });
});

it('an organisation with a long name is found whole, and none that only begins alike', async () => {
  await using scratch = await scratchDatabase();
  const store = await openStore({ database: scratch.database, world: systemWorld() });
  await migrate(store, { mode: 'auto' });
  const long = 'x'.repeat(5_000);
  await addGrant(store, 'globex', `${long}1`);
  await addGrant(store, 'initech', `${long}2`);
  const found = await grantsInOrganization(store, { tenant: 'acme', providers: ['zoho'], ids: [`${long}2`] });
  expect(found.map(({ tenant }) => tenant)).toEqual(['initech']);
  await store.close();
});

it('an operator makes the same indexes before an upgrade', () => {
  const page = readFileSync('docs/operating.md', 'utf8').replaceAll(' concurrently', '');
  for (const statement of lookupIndexes.postgres.split(';\n')) expect(page).toContain(`    ${statement};\n`);
});

it('a program with an SQLite before 3.38 reads the schema, as no index uses an operator for JSON', () => {
  expect(readFileSync('test/snapshots/schema.sqlite.sql', 'utf8')).not.toContain('->');
});

/** A database with many events of one tenant, and many grants at one provider. */
async function filled(database: string): Promise<OpenedStore> {
  const store = await openStore({ database, world: systemWorld() });
  await migrate(store, { mode: 'auto' });
  await addGrant(store, 'globex', '42');
  const id = store.kind === 'postgres' ? 'gen_random_uuid()' : 'lower(hex(randomblob(16)))';
  const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${rows})`;
  const json = (text: string) => (store.kind === 'postgres' ? `(${text})::jsonb` : text);
  await sql
    .raw(`insert into grantry_events (tenant, id, at, grant_id, type, details) ${numbers}
      select 'acme', ${id}, i, ${id}, 'grant.refreshed', ${json(`'{}'`)} from n`)
    .execute(store.db);
  await sql
    .raw(`insert into oauth_tokens (id, client_id, ${columns}, metadata) ${numbers}
      select ${id}, 't' || n.i, ${columns}, ${json(`'{"org_id":"org-' || n.i || '"}'`)}
      from n, oauth_tokens where client_id = 'globex'`)
    .execute(store.db);
  return store;
}

const columns = `provider, account, scopes, state, generation, authorized_generation, lease_fence, created_at, updated_at,
  changed_at`;

async function addGrant(store: OpenedStore, tenant: string, organization: string): Promise<void> {
  const at = new Date().toISOString();
  const grant = {
    id: tenant === 'globex' ? grantId : '00000000-0000-4000-8000-000000000002',
    client_id: tenant,
    provider: 'zoho',
    account: 'default',
    scopes: '',
    metadata: JSON.stringify({ org_id: organization }),
    state: 'active' as const,
    generation: 1,
    authorized_generation: 1,
    lease_fence: 0,
    created_at: at,
    updated_at: at,
    changed_at: 1,
  };
  await store.db.insertInto('oauth_tokens').values(grant).execute();
}

/** Returns the exact statement that a look-up sends. */
function lookUp(
  store: OpenedStore,
  look: (db: Reader, kind: StoreKind) => Promise<unknown>,
): ReturnType<typeof statementOf> {
  return statementOf(store.kind, (db) =>
    look(Object.assign(db, { now: store.db.now, rows: store.db.rows }), store.kind),
  );
}
