import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { loadRootKey, parseRootKeySource } from '../../src/crypto/root-key.ts';
import { type Migration, migrate, releasedMigrations } from '../../src/storage/migrations/migrate.ts';
import { schemaVersion } from '../../src/storage/migrations/version.ts';
import { listEvents } from '../../src/storage/statements/events.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { findApiKey, hashApiKey } from '../../src/vault/api-keys.ts';
import { completeConnectSessionOf } from '../../src/vault/connect/completion.ts';
import { openConnectLink } from '../../src/vault/connect/flow.ts';
import { revokeDue } from '../../src/vault/grant/revocations.ts';
import { type Adoption, rowAdoption } from '../../src/vault/guard/adopt-rows.ts';
import { HighWaterMarks } from '../../src/vault/guard/high-water-mark.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import { resealVault } from '../../src/vault/upkeep/reseal.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { dumpSchema } from '../support/schema-dump.ts';
import {
  type FixtureSecrets,
  fixtureFolder,
  loadFixture,
  type ProviderRequest,
  readSecrets,
  redirectUri,
  tokens,
  worldWith,
} from '../support/upgrade-fixture.ts';

const versions = readdirSync(fixtureFolder);
const cases = versions.flatMap((version) => (['sqlite', 'postgres'] as const).map((kind) => [version, kind] as const));

describe.each(cases)('a database of %s on %s', (version, kind) => {
  let database: string;
  let store: OpenedStore;
  let home: string;
  let drop: () => Promise<void>;
  const secrets = readSecrets(kind, version);

  beforeEach(async () => {
    const scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    ({ database, drop } = scratch);
    store = await openStore({ database, world: systemWorld() });
    home = mkdtempSync(join(tmpdir(), 'grantry-upgrade-'));
    mkdirSync(join(home, 'spool'));
    writeFileSync(join(home, 'root.key'), secrets.rootKey, { mode: 0o600 });
    await loadFixture(store, version);
  });

  afterEach(async () => {
    await store.close();
    await drop();
    rmSync(home, { recursive: true, force: true });
  });

  test('gets the schema of a new database', async () => {
    await migrate(store, { mode: 'auto' });
    await using fresh = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    const other = await openStore({ database: fresh.database, world: systemWorld() });
    await migrate(other, { mode: 'auto' });
    expect(await dumpSchema(store)).toBe(await dumpSchema(other));
    await other.close();
  });

  /** Migrates as opening the vault does: the values of 0.1.0 are sealed anew, and its rows get their MACs. */
  const upgrade = async (migrations: readonly Migration[] = releasedMigrations) => {
    const world = systemWorld();
    const rootKey = await loadRootKey(parseRootKeySource(`file:${join(home, 'root.key')}`));
    const marks = new HighWaterMarks(home, 'test');
    const reseal: Adoption['reseal'] = (tx, keys) => resealVault({ tx, kind, keys, logger: silentLogger });
    const adoptRows = await rowAdoption(store, { rootKey, world, marks, reseal });
    return migrate(store, { mode: 'auto', migrations, adoptRows });
  };

  test('is read through the vault, row by row, once it is upgraded', async () => {
    await readEachKind(store, { database, home, secrets });
  });

  test('is upgraded by the migrations behind its version, each once', async () => {
    const migrations = [...releasedMigrations, planted('alter table grantry_apps add column note text')];
    const to = migrations.length;
    expect(await upgrade(migrations)).toMatchObject({ to });
    expect(await migrate(store, { mode: 'auto', migrations })).toEqual({ from: to, to });
    expect((await sql`select note from grantry_apps`.execute(store.db)).rows).toEqual([{ note: null }]);
    // The reader is a program of the version before.
    await store.db.deleteFrom('grantry_schema').where('version', '=', to).execute();
    await readEachKind(store, { database, home, secrets });
  });

  test('keeps its version when a migration fails', async () => {
    const migrations = [...releasedMigrations, planted('alter table no_such_table add column note text')];
    const before = await schemaVersion(store);
    await expect(migrate(store, { mode: 'auto', migrations })).rejects.toMatchObject({ code: 'internal' });
    expect(await schemaVersion(store)).toBe(before === migrations.length ? before : migrations.length - 1);
  });

  test.each([
    ['a sealed token', `update oauth_tokens set access_token = 'gry1.x' where access_token is not null`],
    ['a tenant key', `delete from grantry_tenant_keys where tenant = 'acme'`],
    ['a candidate', `delete from grantry_candidates`],
    ['a connect session', `update grantry_connect_sessions set pending = null`],
    [
      'an authorization request',
      `update grantry_authorizations set verifier = null, redirect_uri = 'http://127.0.0.1/'`,
    ],
    ['a revocation', `delete from grantry_revocations`],
    ['an API key', `update grantry_api_keys set key_hash = name`],
    ['an app', `update grantry_apps set generation = generation + 1`],
    ['a provider', `update grantry_providers set definition = '{}'`],
    ['the count of token requests', `delete from grantry_token_requests`],
    ['an attempt', `update grantry_attempts set outcome = 'open'`],
    ['an event', `delete from grantry_events`],
    ['the instance', `update grantry_instance set installation = 'another'`],
  ])('shows that a migration has damaged %s', async (_, statement) => {
    const migrations = [...releasedMigrations, planted(statement)];
    await upgrade(migrations);
    await store.db.deleteFrom('grantry_schema').where('version', '=', migrations.length).execute();
    await expect(readEachKind(store, { database, home, secrets })).rejects.toThrow();
  });
});

function planted(statement: string): Migration {
  return { name: 'planted', sqlite: statement, postgres: statement };
}

const keyOf = (account: string) => ({ tenant: 'acme', provider: 'example', account });

/** Reads every row of a fixture through the vault, and spends what can be spent once. */
async function readEachKind(
  { db }: OpenedStore,
  { database, home, secrets }: { database: string; home: string; secrets: FixtureSecrets },
): Promise<void> {
  const requests: ProviderRequest[] = [];
  const world = worldWith((request) => {
    requests.push(request);
    if (request.url.endsWith('/revoke')) return new Response(null, { status: 200 });
    const code = request.form.get('code');
    return tokens(code ?? `${request.form.get('refresh_token')?.replace('refresh-', '')}-next`);
  });
  const rootKey = `file:${join(home, 'root.key')}`;
  const options = { database, home, rootKey, installation: 'fixture', backgroundRefresh: false, world };
  await using vault = await openVault(options);
  expect(vault.quarantine).toBeNull();
  const context = internalsOf(vault).open();

  const grants = await vault.grants.list({ tenant: 'acme' });
  expect(
    Object.fromEntries(grants.items.map(({ account, state, generation }) => [account, [state, generation]])),
  ).toEqual({
    active: ['active', 2],
    disconnected: ['disconnected', 1],
    reauthorization_required: ['reauthorization_required', 1],
    suspect: ['suspect', 1],
    uncertain: ['uncertain', 1],
  });
  for (const [account, accessToken] of [
    ['active', 'access-active-2'],
    ['uncertain', 'access-uncertain'],
    ['suspect', 'access-suspect'],
  ] as const) {
    expect((await vault.getAccessToken(keyOf(account))).accessToken).toBe(accessToken);
  }
  await expect(vault.getAccessToken(keyOf('disconnected'))).rejects.toMatchObject({ code: 'grant_not_found' });

  // The refresh token, the app's secret, the provider's definition and its limit.
  await vault.rejectAccessToken(keyOf('active'), 2);
  const { url, form } = requests.at(-1) ?? expect.unreachable('nothing was sent');
  expect([url, form.get('refresh_token')]).toEqual(['https://as.example/token', 'refresh-active-2']);
  expect([form.get('client_id'), form.get('client_secret')]).toEqual(['client', 'client-secret']);
  expect((await vault.getAccessToken(keyOf('active'))).accessToken).toBe('access-active-2-next');
  const counted = await db.selectFrom('grantry_token_requests').select('requests').execute();
  expect(counted.map((row) => JSON.parse(row.requests).length)).toEqual([1, 1, 1, 1, 1]);
  const attempts = await db.selectFrom('grantry_attempts').select('outcome').execute();
  expect(attempts.map(({ outcome }) => outcome).toSorted()).toEqual([
    'refused',
    'refused',
    'saved',
    'saved',
    'unknown',
  ]);
  const { id: grantId } = await db
    .selectFrom('oauth_tokens')
    .select('id')
    .where('account', '=', 'active')
    .executeTakeFirstOrThrow();
  const events = await listEvents(db, { tenant: 'acme', grantId, limit: 10 });
  expect(events.map(({ type }) => type)).toEqual(['grant.stored', 'grant.refreshed', 'grant.refreshed']);

  // A condemned grant lives again by its candidate.
  expect(await vault.recover(keyOf('reauthorization_required'))).toMatchObject({ outcome: 'recovered', tried: 1 });
  expect(requests.at(-1)?.form.get('refresh_token')).toBe('refresh-candidate');
  expect(await revokeDue(context)).toBe(1);
  expect(requests.at(-1)?.form.get('token')).toBe('refresh-disconnected');

  expect(await openConnectLink(context, secrets.linkToken, null)).toMatchObject({ kind: 'offer' });
  await completeConnectSessionOf(context, secrets.sessionId, { completionCode: secrets.completionCode });
  // Its access token expired an hour after the fixture was made, and the seal keeps that time.
  expect((await vault.getAccessToken(keyOf('session'))).accessToken).toBe('access-session-next');
  expect(requests.at(-1)?.form.get('refresh_token')).toBe('refresh-session');
  await vault.completeAuthorization(`${redirectUri}?code=asked&state=${secrets.state}`);
  expect(requests.at(-1)?.form.get('code_verifier')).toMatch(/^[\w-]{43}$/);
  expect((await vault.getAccessToken(keyOf('asked'))).accessToken).toBe('access-asked');

  expect((await vault.keys.list()).map(({ name }) => name)).toEqual(['reader']);
  expect(await findApiKey(context, hashApiKey(secrets.apiKey))).toMatchObject({
    apiKey: { role: 'reader', tenants: ['acme'] },
  });
}
