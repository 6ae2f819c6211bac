import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import {
  deleteApp,
  findApp,
  findAppByContext,
  listApps,
  listAppsFor,
  namesOfApps,
  putApp,
} from '../../src/storage/statements/apps.ts';
import {
  findAuthorization,
  insertAuthorization,
  purgeAuthorizations,
  takeAuthorization,
} from '../../src/storage/statements/authorizations.ts';
import {
  adoptInstance,
  createInstance,
  moveInstance,
  nameInstallation,
  quarantineInstance,
  readInstance,
  setScrubPending,
} from '../../src/storage/statements/instance.ts';
import { deleteProvider, findProvider, listProviders, putProvider } from '../../src/storage/statements/providers.ts';
import {
  claimDueRevocations,
  claimRevocationsOfGrant,
  deleteRevocation,
  insertRevocation,
  rescheduleRevocation,
} from '../../src/storage/statements/revocations.ts';
import { deleteTenantKeys, insertTenantKey, loadTenantKeys } from '../../src/storage/statements/tenant-keys.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { insertGrantRow } from '../support/grant-fixtures.ts';
import { plainSeal } from '../support/row-seal.ts';
import type { StorePlace } from './storage.ts';

const world = systemWorld();

/** Behaviour of the other statements than those of grants, in every store. */
export function describeStatements(name: string, open: () => Promise<StorePlace>): void {
  describe(name, () => {
    let place: StorePlace;
    let store: OpenedStore;

    beforeAll(async () => {
      place = await open();
      store = await openStore({ database: place.database, world });
      store.protect(plainSeal());
      await migrate(store, { mode: 'auto' });
    });

    afterAll(async () => {
      await store.close();
      await place.drop();
    });

    describeInstance(() => store);
    describeTenantKeys(() => store);
    describeApps(() => store);
    describeProviders(() => store);
    describeAuthorizations(() => store);
    describeRevocations(() => store);
  });
}

function describeInstance(store: () => OpenedStore): void {
  test('an instance is made once, moved, quarantined and adopted', async () => {
    const { db, transaction: write } = store();
    expect(await readInstance(db)).toBeUndefined();
    const made = { installation: null, location: 'here', timeline: 1, scrub_pending: 1 };
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((id) => write((tx) => createInstance(tx, { ...made, vault_id: id }))),
    );
    expect(answers.filter(Boolean)).toHaveLength(1);
    const { vault_id } = (await readInstance(db)) ?? {};
    await write((tx) => moveInstance(tx, { location: 'there', timeline: 2 }));
    await write((tx) => setScrubPending(tx, false));
    expect([
      await write((tx) => nameInstallation(tx, 'production')),
      await write((tx) => nameInstallation(tx, 'staging')),
    ]).toEqual([true, false]);
    expect([
      await write((tx) => quarantineInstance(tx, 'restored')),
      await write((tx) => quarantineInstance(tx, 'later')),
    ]).toEqual([true, false]);
    expect(await readInstance(db)).toMatchObject({
      vault_id,
      epoch: 1,
      location: 'there',
      timeline: 2,
      scrub_pending: 0,
      installation: 'production',
      quarantined_reason: 'restored',
    });
    const adoption = { location: 'new', timeline: null, from: 1, epoch: 2, installation: 'copy' };
    expect([
      await write((tx) => adoptInstance(tx, adoption)),
      await write((tx) => adoptInstance(tx, adoption)),
    ]).toEqual([true, false]);
    expect(await readInstance(db)).toMatchObject({
      vault_id,
      epoch: 2,
      quarantined_reason: null,
      installation: 'copy',
    });
  });
}

function describeTenantKeys(store: () => OpenedStore): void {
  test('of many first keys of a tenant one is kept, and shredding takes no other tenant’s', async () => {
    const { db, transaction: write } = store();
    const inserts = ['x', 'y', 'z'].map((wrapped) =>
      write((tx) => insertTenantKey(tx, { tenant: 'acme', version: 1, wrapped })),
    );
    expect((await Promise.all(inserts)).filter(Boolean)).toHaveLength(1);
    await write((tx) => insertTenantKey(tx, { tenant: 'acme', version: 2, wrapped: 'second' }));
    await write((tx) => insertTenantKey(tx, { tenant: 'other', version: 1, wrapped: 'theirs' }));
    expect((await loadTenantKeys(db, 'acme')).map((key) => key.version)).toEqual([1, 2]);
    expect(await write((tx) => deleteTenantKeys(tx, 'acme'))).toBe(2);
    expect(await loadTenantKeys(db, 'acme')).toEqual([]);
    expect(await loadTenantKeys(db, 'other')).toEqual([{ tenant: 'other', version: 1, wrapped: 'theirs' }]);
  });
}

function describeApps(store: () => OpenedStore): void {
  test('an app is made, replaced only from its newest version, found and removed', async () => {
    const { db, transaction: write } = store();
    const first = app({ name: 'crm', context: 'c1' });
    expect(await write((tx) => putApp(tx, first))).toBe('created');
    await expect(write((tx) => putApp(tx, first))).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await write((tx) => putApp(tx, { ...first, dc: 'us', generation: 2, created_at: 99 }))).toBe('replaced');
    await expect(write((tx) => putApp(tx, { ...first, dc: 'in', generation: 2 }))).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(await findApp(db, 'crm')).toMatchObject({ dc: 'us', generation: 2, created_at: 1 });
    await write((tx) => putApp(tx, app({ name: 'books', context: 'c2', provider: 'zoho_books' })));
    expect((await listApps(db)).map((row) => row.name)).toEqual(['books', 'crm']);
    expect((await listAppsFor(db, { provider: 'zoho_books', tenant: 'acme' })).map((row) => row.name)).toEqual([
      'books',
    ]);
    await write((tx) =>
      putApp(tx, { ...app({ name: 'own', context: 'c3', provider: 'zoho_books' }), tenants: '["globex"]' }),
    );
    expect((await listAppsFor(db, { provider: 'zoho_books', tenant: 'acme' })).map((row) => row.name)).toEqual([
      'books',
    ]);
    expect(await namesOfApps(db, 'zoho_books')).toEqual(['books', 'own']);
    expect((await findAppByContext(db, 'c2'))?.name).toBe('books');
    expect([await write((tx) => deleteApp(tx, 'crm')), await write((tx) => deleteApp(tx, 'crm'))]).toEqual([
      true,
      false,
    ]);
  });
}

function describeProviders(store: () => OpenedStore): void {
  test('a provider is added, replaced and removed', async () => {
    const { db, transaction: write } = store();
    expect(await write((tx) => putProvider(tx, { id: 'mine', definition: '{"v":1}', at: 1 }))).toBe(true);
    expect(await write((tx) => putProvider(tx, { id: 'mine', definition: '{"v":2}', at: 4 }))).toBe(false);
    expect(await findProvider(db, 'mine')).toMatchObject({
      definition: expect.stringContaining('2'),
      created_at: 1,
      updated_at: 4,
    });
    expect((await listProviders(db)).map((row) => row.id)).toEqual(['mine']);
    expect([await write((tx) => deleteProvider(tx, 'mine')), await write((tx) => deleteProvider(tx, 'mine'))]).toEqual([
      true,
      false,
    ]);
  });
}

function describeAuthorizations(store: () => OpenedStore): void {
  test('of many callbacks with one state exactly one gets it', async () => {
    const { db, transaction: write } = store();
    await write((tx) => insertAuthorization(tx, authorization('state-1', 60_000)));
    const taken = await Promise.all(Array.from({ length: 20 }, () => write((tx) => takeAuthorization(tx, 'state-1'))));
    expect(taken.filter((row) => row !== undefined)).toHaveLength(1);
    expect(taken.find((row) => row !== undefined)).toMatchObject({ tenant: 'acme', verifier: 'gry1.verifier' });
    expect((await findAuthorization(db, 'state-1'))?.used_at).toBeGreaterThan(0);
    expect(await write((tx) => takeAuthorization(tx, 'state-unknown'))).toBeUndefined();
  });

  test('an expired authorization is not handed out, stays for a while, and is then deleted', async () => {
    const { db, transaction: write } = store();
    await write((tx) => insertAuthorization(tx, authorization('state-2', -1)));
    expect(await write((tx) => takeAuthorization(tx, 'state-2'))).toBeUndefined();
    expect(await write((tx) => purgeAuthorizations(tx, 60_000))).toBe(0);
    expect(await findAuthorization(db, 'state-2')).toMatchObject({ used_at: null });
    expect(await write((tx) => purgeAuthorizations(tx, 0))).toBe(1);
    expect(await findAuthorization(db, 'state-2')).toBeUndefined();
    expect(await findAuthorization(db, 'state-1')).toBeDefined();
  });
}

function describeRevocations(store: () => OpenedStore): void {
  test('workers never claim the same revocation, and who claims late changes nothing', async () => {
    const { transaction: write } = store();
    const grant = await insertGrantRow(store(), { account: 'revoked' });
    for (let i = 0; i < 30; i += 1) await write((tx) => insertRevocation(tx, revocation(grant.id)));
    const claim = () => write((tx) => claimDueRevocations(tx, { limit: 4, holdMs: 60_000 }));
    const claimed = (await Promise.all(Array.from({ length: 8 }, claim))).flat();
    // Workers pass over rows that another one is claiming, so a round may leave some for the next.
    for (let more = await claim(); more.length > 0; more = await claim()) claimed.push(...more);
    expect(claimed).toHaveLength(30);
    expect(new Set(claimed.map((row) => row.id)).size).toBe(30);

    const [row] = claimed;
    if (row === undefined) throw new Error('nothing was claimed');
    expect(row).toMatchObject({ attempts: 1, tenant: 'acme', token: 'gry1.token' });
    const place = { tenant: 'acme', id: row.id };
    const late = { ...place, attempts: 0, delayMs: 0 };
    expect(await write((tx) => rescheduleRevocation(tx, late))).toBe(false);
    expect(await write((tx) => rescheduleRevocation(tx, { ...late, attempts: 1 }))).toBe(true);
    expect(await claim()).toMatchObject([{ id: row.id, attempts: 2 }]);
    expect(await write((tx) => deleteRevocation(tx, { ...place, tenant: 'other' }))).toBe(false);
    expect([
      await write((tx) => deleteRevocation(tx, place)),
      await write((tx) => deleteRevocation(tx, place)),
    ]).toEqual([true, false]);
    const rest = { tenant: 'acme', grantId: grant.id, holdMs: 1_000 };
    expect(await write((tx) => claimRevocationsOfGrant(tx, { ...rest, tenant: 'other' }))).toEqual([]);
    expect(await write((tx) => claimRevocationsOfGrant(tx, rest))).toHaveLength(29);
  });
}

function app(values: { name: string; context: string; provider?: string; generation?: number }) {
  return {
    provider: 'zoho_crm',
    client_id: 'client',
    client_secrets: '{}',
    dc: 'eu',
    redirect_uri: null,
    scopes: '[]',
    tenants: null,
    return_to: '[]',
    scope_reasons: null,
    pkce: null,
    generation: 1,
    created_at: 1,
    updated_at: 1,
    ...values,
  };
}

function authorization(state: string, lifeMs: number) {
  return {
    state_hash: state,
    tenant: 'acme',
    provider: 'zoho_crm',
    account: 'default',
    app: 'crm',
    verifier: 'gry1.verifier',
    redirect_uri: 'http://127.0.0.1:8484/oauth/callback/c',
    scopes: '["a"]',
    dc: 'eu',
    issuer: null,
    provider_hash: 'h',
    connect_session_id: null,
    enhances: null,
    environment: null,
    expect_organization: null,
    lifeMs,
  };
}

function revocation(grantId: string) {
  return {
    id: randomUUID(),
    tenant: 'acme',
    grant_id: grantId,
    provider: 'zoho_crm',
    account: 'default',
    app: 'crm',
    dc: 'eu',
    token: 'gry1.token',
    token_fingerprint: 'f',
    lifeMs: 60_000,
  };
}
