/** A process of 0.1.0 that still runs while a newer one migrates the database: what it writes then loses no grant. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newUuid } from '../../src/base/ids.ts';
import { Secret } from '../../src/base/secret.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { loadRootKey, parseRootKeySource } from '../../src/crypto/root-key.ts';
import { type PinnedTenant, TenantKeys } from '../../src/crypto/tenant-keys.ts';
import type { RawAnswer } from '../../src/oauth/types.ts';
import { insertAttempt } from '../../src/storage/statements/attempts.ts';
import type { GrantRow } from '../../src/storage/statements/grants.ts';
import { readInstance } from '../../src/storage/statements/instance.ts';
import { loadTenantKeys } from '../../src/storage/statements/tenant-keys.ts';
import { type OpenedStore, openStore } from '../../src/storage/store.ts';
import { openVault } from '../../src/vault/open.ts';
import { registerOwner, retireOwner } from '../../src/vault/spool/owner.ts';
import { Spool } from '../../src/vault/spool/spool.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { loadFixture, readSecrets, tokens, worldWith } from '../support/upgrade-fixture.ts';

const key = { tenant: 'acme', provider: 'example', account: 'active' };

describe.each(['sqlite', 'postgres'] as const)('a process of 0.1.0 beside a newer one, on %s', (kind) => {
  const sent: (string | null)[] = [];
  let scratch: { database: string; drop: () => Promise<void> };
  let store: OpenedStore;
  let home: string;
  let acme: PinnedTenant;

  beforeEach(async () => {
    scratch = kind === 'sqlite' ? scratchSqlite() : await scratchDatabase();
    const world = systemWorld();
    store = await openStore({ database: scratch.database, world });
    await loadFixture(store, '0.1.0');
    home = mkdtempSync(join(tmpdir(), 'grantry-old-process-'));
    mkdirSync(join(home, 'spool'));
    writeFileSync(join(home, 'root.key'), readSecrets(kind, '0.1.0').rootKey, { mode: 0o600 });
    const rootKey = await loadRootKey(parseRootKeySource(`file:${join(home, 'root.key')}`));
    const vaultId = (await readInstance(store.db))?.vault_id ?? '';
    const keys = { load: (tenant: string) => loadTenantKeys(store.db, tenant), insert: async () => {} };
    acme = await new TenantKeys({ rootKey, vaultId, world, store: keys, rowMacs: false }).pin('acme');
    sent.length = 0;
  });

  afterEach(async () => {
    await store.close();
    await scratch.drop();
    rmSync(home, { recursive: true, force: true });
  });

  const open = () => {
    const world = worldWith(({ form }) => {
      sent.push(form.get('refresh_token'));
      return tokens('next');
    });
    const rootKey = `file:${join(home, 'root.key')}`;
    const { database } = scratch;
    return openVault({ database, home, rootKey, installation: 'fixture', backgroundRefresh: false, world });
  };

  /** All columns that there are: before the migration some are missing. */
  const grant = async (): Promise<GrantRow> => {
    const { tenant, provider, account } = key;
    const row = await store.db
      .selectFrom('oauth_tokens')
      .selectAll()
      .where('client_id', '=', tenant)
      .where('provider', '=', provider)
      .where('account', '=', account)
      .executeTakeFirst();
    return row ?? expect.unreachable();
  };

  /** Seals as 0.1.0 does: without the facts that decide where the value goes. */
  const seal = (
    column: string,
    text: string,
    { id: row }: { id: string },
    generation: number,
    table = 'oauth_tokens',
  ) => acme.seal({ table, row, column, generation }, new Secret(text));

  /** Writes what 0.1.0 writes when it saves an answer. */
  const saveAsBefore = (row: GrantRow, db: Pick<OpenedStore['db'], 'updateTable'> = store.db) => {
    const generation = row.generation + 1;
    return db
      .updateTable('oauth_tokens')
      .set({
        access_token: seal('access_token', 'access-late', row, generation),
        refresh_token: seal('refresh_token', 'refresh-late', row, generation),
        generation,
      })
      .where('id', '=', row.id)
      .execute();
  };

  /** Claims the grant and sends its token, as 0.1.0 does. Returns what happens when the answer arrives. */
  async function claimAsBefore() {
    const row = await grant();
    const owner = registerOwner(systemWorld());
    const slotsOf = new Spool(join(home, 'spool'), owner, () => Date.now());
    const attemptId = newUuid(systemWorld());
    const { id: grantId, generation, refresh_fingerprint: tokenFingerprint } = row;
    const fence = row.lease_fence + 1;
    const slot = await slotsOf.reserve(`${grantId}.${attemptId}`);
    const attempt = { tenant: 'acme', id: attemptId, grant_id: grantId, fence, generation, candidate_id: null };
    await store.transaction(async (tx) => {
      await insertAttempt(tx, { ...attempt, token_fingerprint: tokenFingerprint ?? '', owner: owner.id });
      const lease = { lease_owner: owner.id, lease_until: Date.now() + 120_000, lease_fence: fence };
      await tx.updateTable('oauth_tokens').set(lease).where('id', '=', grantId).execute();
    });
    const head = { version: 1, tenant: 'acme', grantId, attemptId, generation, fence, candidateId: null } as const;
    const body = JSON.stringify({ access_token: 'access-late', refresh_token: 'refresh-late', expires_in: 3_600 });
    const raw: RawAnswer = {
      status: 200,
      contentType: 'application/json',
      retryAfter: null,
      body: new Secret(body),
      incomplete: false,
      requestedAt: Date.now(),
    };
    const arrive = () =>
      slot.keep({ ...head, tokenFingerprint: tokenFingerprint ?? '', owner, at: Date.now() }, acme, raw);
    /** 0.1.0 does so when the database refuses the answer. */
    const setAside = async () => {
      await slot.setAside('refused');
      const doubt = { state: 'uncertain', reason: 'answer_refused', lease_owner: null, lease_until: null } as const;
      await store.db.updateTable('oauth_tokens').set(doubt).where('id', '=', grantId).execute();
      await store.db
        .updateTable('grantry_attempts')
        .set({ outcome: 'unknown', finished_at: Date.now() })
        .where('id', '=', attemptId)
        .execute();
    };
    return { row, arrive, setAside, end: () => retireOwner(owner) };
  }

  test.each(['sets its answer aside', 'is killed'])('keeps the answer that it waited for, and %s', async (then) => {
    const old = await claimAsBefore();
    await using vault = await open();
    await old.arrive();
    await expect(saveAsBefore(old.row)).rejects.toMatchObject({ code: 'internal' });
    if (then === 'is killed') old.end();
    else await old.setAside();
    expect(await vault.rejectAccessToken(key, 2)).toMatchObject({ generation: 3, accessToken: 'access-late' });
    expect(sent).toEqual([]);
    await vault.rejectAccessToken(key, 3);
    expect(sent).toEqual(['refresh-late']);
  });

  test.runIf(kind === 'postgres')('loses no answer that it saves while the values are sealed anew', async () => {
    const row = await grant();
    const [written, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const saving = store.transaction(async (tx) => {
      await saveAsBefore(row, tx);
      written.resolve();
      await release.promise;
    });
    await written.promise;
    const opening = open();
    const waiting = sql<{ locks: number }>`select count(*) as locks from pg_locks where not granted
      and database = (select oid from pg_database where datname = current_database())`;
    await expect.poll(async () => (await waiting.execute(store.db)).rows).not.toEqual([{ locks: 0 }]);
    release.resolve();
    await saving;
    await using vault = await opening;
    await vault.rejectAccessToken(key, 3);
    expect(sent).toEqual(['refresh-late']);
  });

  test('stores no token that no process could open', async () => {
    await using vault = await open();
    const row = await grant();
    const { access_token: _, ...values } = await store.db
      .selectFrom('oauth_tokens')
      .selectAll()
      .where('id', '=', row.id)
      .executeTakeFirstOrThrow();
    const other = { ...values, id: newUuid(systemWorld()), account: 'another' };
    const refresh_token = seal('refresh_token', 'r', other, other.generation);
    const inserted = store.db.insertInto('oauth_tokens').values({ ...other, access_token: null, refresh_token });
    await expect(inserted.execute()).rejects.toMatchObject({ code: 'internal' });
    for (const [table, column] of [
      ['grantry_candidates', 'tokens'],
      ['grantry_revocations', 'token'],
      ['grantry_connect_sessions', 'pending'],
    ] as const) {
      const text = seal(column, 'x', { id: 'any' }, 1, table);
      const updated = sql`update ${sql.table(table)} set ${sql.ref(column)} = ${text}`;
      await expect(updated.execute(store.db)).rejects.toMatchObject({ code: 'internal' });
    }
    expect(await vault.getAccessToken(key)).toMatchObject({ generation: 2 });
  });

  test('retires no candidate that it cannot open', async () => {
    await (await open()).close();
    const retired = store.db.updateTable('grantry_candidates').set({ state: 'superseded' });
    await expect(retired.execute()).rejects.toMatchObject({ code: 'internal' });
    const states = await store.db.selectFrom('grantry_candidates').select('state').execute();
    expect(states).toEqual([{ state: 'untested' }]);
  });

  test('leaves a value that did not open as it is, in a row that goes on', async () => {
    const row = await grant();
    const { refresh_token } = row;
    await store.db.updateTable('oauth_tokens').set({ refresh_token }).where('account', '=', 'uncertain').execute();
    await using vault = await open();
    const kept = { ...key, account: 'uncertain' };
    await expect(vault.rejectAccessToken(kept, 1)).rejects.toMatchObject({ code: 'integrity_failed' });
    const touched = { metadata: '{"note":"x"}', refresh_token };
    await store.db.updateTable('oauth_tokens').set(touched).where('account', '=', 'uncertain').execute();
    await vault.storeTokens(kept, { refreshToken: 'handed-in', replace: true });
    const { generation } = (await vault.grants.get(kept)) ?? expect.unreachable();
    await vault.rejectAccessToken(kept, generation);
    expect(sent).toEqual(['handed-in']);
  });
});
