/**
 * Writes a database with each kind of row, for both engines, to test/fixtures/VERSION: `npm run upgrade-fixture`. Run it
 * once for a version, before its release; a fixture of a released version is never written again.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { newUuid } from '../src/base/ids.ts';
import * as postgresText from '../src/storage/migrations/0001-vault.postgres.ts';
import * as sqliteText from '../src/storage/migrations/0001-vault.sqlite.ts';
import { releasedMigrations, versionTable } from '../src/storage/migrations/migrate.ts';
import type { Schema } from '../src/storage/schema.ts';
import { insertCandidate } from '../src/storage/statements/candidates.ts';
import { findGrant } from '../src/storage/statements/grants.ts';
import { type OpenedStore, openStore } from '../src/storage/store.ts';
import { changing } from '../src/vault/changing.ts';
import { receiveConnectCallback, startConnect } from '../src/vault/connect/flow.ts';
import { createConnectSession } from '../src/vault/connect/sessions.ts';
import type { VaultContext } from '../src/vault/context.ts';
import { factsOf } from '../src/vault/grant/facts.ts';
import { sealCandidate } from '../src/vault/grant/tokens.ts';
import { internalsOf } from '../src/vault/internals.ts';
import { openVault } from '../src/vault/open.ts';
import type { Vault } from '../src/vault/types.ts';
import { startPostgres } from '../test/support/postgres-server.ts';
import { changeRows } from '../test/support/row-seal.ts';
import {
  browser,
  example,
  type FixtureSecrets,
  fixtureFolder,
  publicUrl,
  redirectUri,
  returnTo,
  tokens,
  worldWith,
} from '../test/support/upgrade-fixture.ts';

/** Far enough that no test ever finds a row expired. */
const farAway = Date.UTC(2100, 0, 1);

const { version }: { version: string } = JSON.parse(readFileSync('package.json', 'utf8'));
const folder = join(fixtureFolder, version);
const home = mkdtempSync(join(tmpdir(), 'grantry-fixture-'));
const server = await startPostgres();
try {
  mkdirSync(folder, { recursive: true });
  for (const database of [`sqlite:${join(home, 'grantry.db')}`, server.url]) {
    const secrets = await fill(database);
    const store = await openStore({ database, world: worldWith(() => undefined) });
    await keepForEver(store);
    writeFileSync(join(folder, `${store.kind}.sql`), await dump(store));
    writeFileSync(join(folder, `secrets.${store.kind}.json`), `${JSON.stringify(secrets, null, 2)}\n`);
    await store.close();
  }
} finally {
  await server.remove();
  rmSync(home, { recursive: true, force: true });
}

async function fill(database: string): Promise<FixtureSecrets> {
  const world = worldWith(({ form }) => {
    const token = form.get('refresh_token') ?? form.get('token') ?? form.get('code');
    if (token === 'refresh-active') return tokens('active-2');
    if (token === 'refresh-uncertain' || token === 'refresh-disconnected') return undefined;
    if (form.get('grant_type') === 'authorization_code') return tokens('session');
    return Response.json({ error: 'invalid_grant' }, { status: 400 });
  });
  const rootKey = `file:${join(home, 'root.key')}`;
  const options = { database, home, rootKey, installation: 'fixture', backgroundRefresh: false, world };
  await using vault = await openVault(options);
  const context = internalsOf(vault).open();
  await vault.providers.put(example);
  await vault.apps.put('example', {
    provider: 'example',
    clientId: 'client',
    clientSecret: 'client-secret',
    returnTo: [returnTo],
  });
  await vault.keys.create('revoked', { role: 'operator' });
  await vault.keys.revoke('revoked');
  const { key } = await vault.keys.create('reader', { role: 'reader', tenants: ['acme'], providers: ['example'] });
  await makeGrants(vault, context);
  const { state } = await vault.authorize({ tenant: 'acme', provider: 'example', account: 'asked', redirectUri });
  const sessions = await makeSessions(context);
  for (const table of ['grantry_connect_sessions', 'grantry_authorizations'] as const) {
    await changeRows(context, table, { expires_at: farAway });
  }
  return {
    rootKey: readFileSync(join(home, 'root.key'), 'utf8'),
    apiKey: key.reveal(),
    state,
    ...sessions,
  };
}

/** A grant for each state, named by it. */
async function makeGrants(vault: Vault, context: VaultContext): Promise<void> {
  const keyOf = (account: string) => ({ tenant: 'acme', provider: 'example', account });
  for (const state of ['active', 'uncertain', 'suspect', 'reauthorization_required', 'disconnected']) {
    const stored = { refreshToken: `refresh-${state}`, accessToken: `access-${state}`, expiresIn: 3_600 };
    await vault.storeTokens(keyOf(state), stored);
  }
  for (const account of ['active', 'uncertain', 'suspect', 'reauthorization_required']) {
    await vault.rejectAccessToken(keyOf(account), 1).catch(() => {
      // The provider's answers put these grants into their states.
    });
  }
  const condemned = await findGrant(context.store.db, keyOf('reauthorization_required'));
  if (condemned === undefined) throw new Error('the grant is missing');
  const [id, generation] = [newUuid(context.world), 1];
  const kept = { refreshToken: 'refresh-candidate', accessToken: null, expiresAt: null };
  const sealed = sealCandidate(await context.keys.pin('acme'), factsOf(condemned), { id, generation }, kept);
  await changing(context, async ({ tx }) => {
    const row = { id, tenant: 'acme', grant_id: condemned.id, fence: 1, generation, state: 'untested' as const };
    await insertCandidate(tx, { ...row, tokens: sealed, token_fingerprint: 'candidate' });
    // Without the pause between two refusals.
    await tx
      .updateTable('oauth_tokens')
      .set({ state: 'reauthorization_required', reason: 'refused', condemned_at: tx.now })
      .where('client_id', '=', 'acme')
      .where('id', '=', condemned.id)
      .execute();
  });
  await vault.disconnect(keyOf('disconnected'));
}

/** Makes a link that is not opened yet, and a session whose tokens wait for their completion code. */
async function makeSessions(
  context: VaultContext,
): Promise<Pick<FixtureSecrets, 'linkToken' | 'sessionId' | 'completionCode'>> {
  const input = { tenant: 'acme', provider: 'example', account: 'session', returnTo };
  const unused = await createConnectSession(context, publicUrl, input);
  const session = await createConnectSession(context, publicUrl, input);
  const token = session.url.slice(`${publicUrl}/connect/`.length);
  const started = await startConnect(context, publicUrl, { token, browser });
  if (started.kind !== 'go') throw new Error(`the session did not start: ${started.reason}`);
  const search = `?code=code&state=${new URL(started.url).searchParams.get('state')}`;
  const app = await context.store.db.selectFrom('grantry_apps').select('context').executeTakeFirstOrThrow();
  const came = await receiveConnectCallback(context, publicUrl, { context: app.context, search, browser });
  if (came.kind !== 'pending') throw new Error(`the session is ${came.kind}`);
  return {
    linkToken: unused.url.slice(`${publicUrl}/connect/`.length),
    sessionId: session.id,
    completionCode: came.completionCode,
  };
}

/** Takes away what depends on this machine and on the day. */
async function keepForEver({ db }: OpenedStore): Promise<void> {
  await db.updateTable('grantry_instance').set({ location: 'fixture', timeline: null }).execute();
  await db.updateTable('grantry_attempts').set({ owner: 'fixture:1:a' }).execute();
  await db.updateTable('oauth_tokens').set({ lease_owner: null, lease_until: null }).execute();
  const living = db.updateTable('oauth_tokens').where('access_token', 'is not', null);
  await living.set({ token_expiry: new Date(farAway).toISOString(), due_at: null }).execute();
  await living.where('state', 'in', ['uncertain', 'suspect']).set({ retry_at: farAway }).execute();
  await db.updateTable('grantry_revocations').set({ next_at: 0, deadline_at: farAway }).execute();
}

/** The schema as its migrations make it, and every row. */
async function dump(store: OpenedStore): Promise<string> {
  const { grantTable } = store.kind === 'sqlite' ? sqliteText : postgresText;
  const schema = [versionTable[store.kind], grantTable, ...releasedMigrations.map((each) => each[store.kind])];
  const rows: string[] = [];
  for (const [, name = ''] of schema.join('\n').matchAll(/^create table (?:if not exists )?"?(\w+)"?/gm)) {
    rows.push(...(await inserts(store, name as keyof Schema)));
  }
  return [...schema.map((text) => text.trim()), ...rows].map((statement) => `${statement};\n`).join('');
}

async function inserts(store: OpenedStore, table: keyof Schema): Promise<string[]> {
  const { rows } = await sql<Record<string, string | number | null>>`select * from ${sql.table(table)}`.execute(
    store.db,
  );
  if (rows.length === 0) throw new Error(`the fixture has no row in ${table}`);
  return rows.map((row) => {
    const values = Object.values(row).map((value) =>
      typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value),
    );
    return `insert into ${table} (${Object.keys(row).join(', ')}) values (${values.join(', ')})`;
  });
}
