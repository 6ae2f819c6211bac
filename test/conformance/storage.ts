import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GrantryError } from '../../src/base/errors.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { migrate } from '../../src/storage/migrations/migrate.ts';
import { inspectGrantTable, schemaVersionLatest } from '../../src/storage/migrations/version.ts';
import { isUniqueViolation, type OpenedStore, openStore } from '../../src/storage/store.ts';
import { grantRow, insertGrantRow } from '../support/grant-fixtures.ts';

const world = systemWorld();

export interface StorePlace {
  readonly database: string;
  drop(): Promise<void>;
}

/** Behaviour that all stores share. */
export function describeStore(name: string, open: () => Promise<StorePlace>): void {
  describe(name, () => {
    let place: StorePlace;
    let store: OpenedStore;

    beforeAll(async () => {
      place = await open();
      store = await openStore({ database: place.database, world });
      await migrate(store, { mode: 'auto' });
    });

    afterAll(async () => {
      await store.close();
      await place.drop();
    });

    describeSchema(() => store);
    describeValues(() => store);
    describeTransactions(() => store);
    describeFailures(() => store);

    test('a closed store says so, and twice is no mistake', async () => {
      const other = await openStore({ database: place.database, world });
      const begun = Promise.withResolvers<void>();
      const slow = other.transaction(async (tx) => {
        begun.resolve();
        await world.sleep(30);
        return sql<{ one: number }>`select 1 as one`.execute(tx);
      });
      await begun.promise;
      await Promise.all([other.close(), other.close()]);
      expect((await slow).rows).toStrictEqual([{ one: 1 }]);
      const unavailable = { code: 'storage_unavailable', retryable: true };
      await expect(other.nowMs()).rejects.toMatchObject(unavailable);
      await expect(other.transaction(async () => {})).rejects.toMatchObject(unavailable);
    });
  });
}

function describeSchema(store: () => OpenedStore): void {
  test('the schema is there, and migrating again does nothing', async () => {
    expect(await inspectGrantTable(store())).toBe('ours');
    expect(await migrate(store(), { mode: 'off' })).toEqual({ from: schemaVersionLatest, to: schemaVersionLatest });
  });

  test('a schema newer than this program is refused', async () => {
    const version = schemaVersionLatest + 1;
    await store().db.insertInto('grantry_schema').values({ version, name: 'future', applied_at: 1 }).execute();
    await expect(migrate(store(), { mode: 'auto' })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(`version ${version}`),
    });
    await store().db.deleteFrom('grantry_schema').where('version', '=', version).execute();
  });

  test('a plain insert of an older program fails', async () => {
    const insert = sql`insert into oauth_tokens (id, client_id, provider, access_token, created_at, updated_at)
      values (${randomUUID()}, 'acme', 'old_writer', 'plain', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')`;
    await expect(insert.execute(store().db)).rejects.toMatchObject({ code: 'internal' });
  });

  test.each([
    ['a state that is none', { state: 'lost' }],
    ['a lease without an end', { lease_owner: 'somebody' }],
    ['a negative generation', { generation: -1 }],
  ])('refuses %s', async (_, values) => {
    // The type forbids it too: this is about rows that reach the database past it.
    const row: Record<string, unknown> = { ...grantRow({ account: randomUUID() }), ...values };
    const insert = sql`insert into oauth_tokens (${sql.join(Object.keys(row).map((key) => sql.ref(key)))})
      values (${sql.join(Object.values(row))})`;
    await expect(insert.execute(store().db)).rejects.toMatchObject({ code: 'internal' });
  });
}

function describeValues(store: () => OpenedStore): void {
  test('a row comes back as it went in', async () => {
    const row = grantRow({ account: 'round-trip', scopes: 'ä,✓,𝄞', lease_fence: Number.MAX_SAFE_INTEGER });
    await store().db.insertInto('oauth_tokens').values(row).execute();
    const found = await store().db.selectFrom('oauth_tokens').selectAll().where('id', '=', row.id).executeTakeFirst();
    expect({ ...found, metadata: JSON.parse(found?.metadata ?? '') }).toStrictEqual({
      ...row,
      metadata: JSON.parse(row.metadata),
    });
  });

  test('times are read in UTC with milliseconds, even if they were written in another zone', async () => {
    const { id } = await insertGrantRow(store(), { account: 'times', token_expiry: '2026-06-01T12:00:00.000Z' });
    const query = store().db.selectFrom('oauth_tokens').select('token_expiry').where('id', '=', id);
    expect(await query.executeTakeFirst()).toStrictEqual({ token_expiry: '2026-06-01T12:00:00.000Z' });
    if (store().kind === 'sqlite') return;
    await sql`update oauth_tokens set token_expiry = '2026-06-01 14:00:00.5+05:30' where id = ${id}`.execute(
      store().db,
    );
    expect(await query.executeTakeFirst()).toStrictEqual({ token_expiry: '2026-06-01T08:30:00.500Z' });
  });

  test('an integer beyond 2^53 reads as an infinity, and keeps no other row from being read', async () => {
    const { id } = await insertGrantRow(store(), { account: 'huge' });
    const huge = 2n ** 53n + 1n;
    await sql`update oauth_tokens set lease_fence = ${huge}, changed_at = ${-huge} where id = ${id}`.execute(
      store().db,
    );
    const read = { lease_fence: Number.POSITIVE_INFINITY, changed_at: Number.NEGATIVE_INFINITY };
    const query = store().db.selectFrom('oauth_tokens').select(['lease_fence', 'changed_at']).where('id', '=', id);
    expect(await query.execute()).toEqual([read]);
    const written = await store().transaction((tx) =>
      tx
        .updateTable('oauth_tokens')
        .set((column) => ({ generation: column('generation', '+', 1) }))
        .where('id', '=', id)
        .returning(['lease_fence', 'changed_at', 'generation'])
        .execute(),
    );
    expect(written).toEqual([{ ...read, generation: expect.any(Number) }]);
    await store().db.deleteFrom('oauth_tokens').where('id', '=', id).execute();
    expect(await store().nowMs()).toBeGreaterThan(0);
  });

  test.each([
    ['a date', new Date(0)],
    ['a boolean', true],
    ['an object', { a: 1 }],
    ['a list', ['a']],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
  ])('binds no %s', async (_, value) => {
    await expect(sql`select ${value} as value`.execute(store().db)).rejects.toMatchObject({ code: 'internal' });
  });

  test('a text with a NUL is bad input', async () => {
    const insert = insertGrantRow(store(), { account: 'nul\0' });
    await expect(insert).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('says how many rows a statement changed', async () => {
    const { id } = await insertGrantRow(store(), { account: 'counted' });
    const change = store().db.updateTable('oauth_tokens').set({ reason: 'x' }).where('id', '=', id);
    expect((await change.executeTakeFirst()).numUpdatedRows).toBe(1n);
    expect((await change.where('generation', '=', 99).executeTakeFirst()).numUpdatedRows).toBe(0n);
    expect(await change.returning('reason').execute()).toStrictEqual([{ reason: 'x' }]);
    const removal = store().db.deleteFrom('oauth_tokens').where('id', '=', id);
    expect((await removal.executeTakeFirst()).numDeletedRows).toBe(1n);
  });

  test('its clock is read when the statement runs', async () => {
    const { now } = store().db;
    const read = async () => (await store().db.selectNoFrom(now.as('now')).executeTakeFirstOrThrow()).now;
    const first = await read();
    await world.sleep(20);
    expect(Number.isInteger(first)).toBe(true);
    expect((await read()) - first).toBeGreaterThanOrEqual(15);
    expect(Math.abs(first - world.now())).toBeLessThan(5_000);
    const { later } = await store()
      .db.selectNoFrom(sql<number>`${now} + ${1_000}`.as('later'))
      .executeTakeFirstOrThrow();
    expect(later).toBeGreaterThan(first + 1_000);
  });

  test('says where it lives, the same each time', async () => {
    const { location, timeline } = await store().location();
    expect(location).toMatch(store().kind === 'sqlite' ? /^(memory|inode:\d+( born:\d+)?)$/ : /^\d+:\d+$/);
    expect(timeline).toBe(store().kind === 'sqlite' ? null : 1);
    expect(await store().location()).toEqual({ location, timeline });
  });
}

function describeTransactions(store: () => OpenedStore): void {
  test('keeps all of a transaction or nothing', async () => {
    const failing = store().transaction(async (tx) => {
      await tx
        .insertInto('oauth_tokens')
        .values(grantRow({ account: 'atomic' }))
        .execute();
      throw new GrantryError('provider_error', 'on purpose');
    });
    await expect(failing).rejects.toMatchObject({ code: 'provider_error', message: 'on purpose' });
    expect(await accounts(store(), 'atomic')).toBe(0);
    const kept = await store().transaction(async (tx) => {
      await tx
        .insertInto('oauth_tokens')
        .values(grantRow({ account: 'atomic' }))
        .execute();
      return 'kept';
    });
    expect(kept).toBe('kept');
    expect(await accounts(store(), 'atomic')).toBe(1);
  });

  test('commits nothing after a statement failed, even if the caller swallows the error', async () => {
    const swallowing = store().transaction(async (tx) => {
      await tx
        .insertInto('oauth_tokens')
        .values(grantRow({ account: 'swallowed' }))
        .execute();
      await sql`select * from no_such_table`.execute(tx).catch(() => {});
    });
    await expect(swallowing).rejects.toMatchObject({ code: 'internal' });
    expect(await accounts(store(), 'swallowed')).toBe(0);
  });

  test('notices a statement that bypasses its own transaction', async () => {
    const bypassing = store().transaction(async () => store().nowMs());
    await expect(bypassing).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('bypasses') });
    const nested = store().transaction(async () => store().transaction(async () => {}));
    await expect(nested).rejects.toMatchObject({ code: 'internal' });
    expect(await store().nowMs()).toBeGreaterThan(0);
  });

  test('runs many at once', async () => {
    const { id } = await insertGrantRow(store(), { account: 'many' });
    const raise = () =>
      store().transaction((tx) =>
        tx
          .updateTable('oauth_tokens')
          .set((column) => ({ lease_fence: column('lease_fence', '+', 1) }))
          .where('id', '=', id)
          .returning('lease_fence')
          .executeTakeFirstOrThrow(),
      );
    const fences = await Promise.all(Array.from({ length: 50 }, raise));
    expect(new Set(fences.map((row) => row.lease_fence)).size).toBe(50);
  });

  test('two that lock rows in opposite order both succeed', async () => {
    const first = await insertGrantRow(store(), { account: 'crossing-1' });
    const second = await insertGrantRow(store(), { account: 'crossing-2' });
    const cross = (ids: string[]) =>
      store().transaction(async (tx) => {
        for (const id of ids) {
          await tx
            .updateTable('oauth_tokens')
            .set((column) => ({ lease_fence: column('lease_fence', '+', 1) }))
            .where('id', '=', id)
            .execute();
          await world.sleep(50);
        }
      });
    await Promise.all([cross([first.id, second.id]), cross([second.id, first.id])]);
    const rows = await store()
      .db.selectFrom('oauth_tokens')
      .select('lease_fence')
      .where('account', 'like', 'crossing-%')
      .execute();
    expect(rows).toStrictEqual([{ lease_fence: 2 }, { lease_fence: 2 }]);
  });
}

function describeFailures(store: () => OpenedStore): void {
  test('a second row with the same key is recognised, and nothing of it is told', async () => {
    const row = await insertGrantRow(store(), { account: 'twice', access_token: 'gry1.CANARY' });
    const error = await insertGrantRow(store(), { ...row, id: randomUUID() }).catch((failure: unknown) => failure);
    expect(isUniqueViolation(error)).toBe(true);
    expect(error).toMatchObject({ code: 'internal' });
    expect(JSON.stringify(error) + String(error)).not.toContain('CANARY');
  });

  test('another failure is not taken for that', async () => {
    const error = await sql`select * from no_such_table`.execute(store().db).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(GrantryError);
    expect(error).toMatchObject({ code: 'internal' });
    expect(isUniqueViolation(error)).toBe(false);
    const orphan = store()
      .db.insertInto('grantry_candidates')
      .values({
        id: randomUUID(),
        tenant: 'acme',
        grant_id: randomUUID(),
        fence: 1,
        generation: 1,
        tokens: 'gry1.x',
        token_fingerprint: 'f',
        received_at: 1,
        state: 'untested',
      })
      .execute();
    expect(isUniqueViolation(await orphan.catch((failure: unknown) => failure))).toBe(false);
    await expect(orphan).rejects.toMatchObject({ code: 'internal' });
  });
}

async function accounts(store: OpenedStore, account: string): Promise<number> {
  const rows = await store.db.selectFrom('oauth_tokens').select('id').where('account', '=', account).execute();
  return rows.length;
}
