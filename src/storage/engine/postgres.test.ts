import { connect, createServer, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { administer, postgresUrl, scratchDatabase } from '../../../test/support/postgres.ts';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres-server.ts';
import { systemWorld } from '../../base/system-world.ts';
import { migrate } from '../migrations/migrate.ts';
import { insertTenantKey, loadTenantKeys } from '../statements/tenant-keys.ts';
import { openStore } from '../store.ts';
import { postgresFailure } from './postgres-failures.ts';

const world = systemWorld();

describe('a server of its own', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.remove());

  test('lists a transaction that has written, though no later one has ended', async () => {
    const store = await openStore({ database: server.url, world, poolMax: 3 });
    await migrate(store, { mode: 'auto' });
    const written = Promise.withResolvers<string | undefined>();
    const looked = Promise.withResolvers<void>();
    const transaction = store.transaction(async (tx) => {
      await insertTenantKey(tx, { tenant: 'slow', version: 1, wrapped: 'x' });
      const { rows } = await sql<{ id: string }>`select pg_current_xact_id()::xid::text as id`.execute(tx);
      written.resolve(rows[0]?.id);
      await looked.promise;
    });
    const id = await written.promise;
    expect((await store.latestChange()).open).toContain(id);
    looked.resolve();
    await transaction;
    expect((await store.latestChange()).open).not.toContain(id);
    await store.close();
  });

  test('stopped in the middle of work it is unavailable, and then there again', async () => {
    const store = await openStore({ database: server.url, world, poolMax: 3 });
    await migrate(store, { mode: 'auto' });
    await store.transaction((tx) => insertTenantKey(tx, { tenant: 'kept', version: 1, wrapped: 'x' }));
    const unavailable = { code: 'storage_unavailable', retryable: true };
    const inTheMiddle = store.transaction(async (tx) => {
      await insertTenantKey(tx, { tenant: 'lost', version: 1, wrapped: 'x' });
      await server.stop();
      await insertTenantKey(tx, { tenant: 'lost', version: 2, wrapped: 'x' });
    });
    await expect(inTheMiddle).rejects.toMatchObject(unavailable);
    await expect(store.nowMs()).rejects.toMatchObject(unavailable);
    await expect(store.transaction(async () => {})).rejects.toMatchObject(unavailable);
    await expect(openStore({ database: server.url, world })).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await server.start();
    expect(await loadTenantKeys(store.db, 'kept')).toHaveLength(1);
    expect(await loadTenantKeys(store.db, 'lost')).toHaveLength(0);
    expect(await store.transaction(async () => 'works')).toBe('works');
    await store.close();
  });

  test.each([
    ['fsync', 'fsync = off'],
    ['synchronous_commit', 'synchronous_commit is off'],
  ])('with %s off it is refused, except for tests that say so', async (setting, words) => {
    await administer(server.url, `alter system set ${setting} = off`);
    await administer(server.url, 'select pg_reload_conf()');
    await expect
      .poll(() => openStore({ database: server.url, world }).then((store) => store.close(), String))
      .toContain(words);
    const store = await openStore({ database: server.url, world, unsafeAllowFsyncOff: 'a test' });
    expect(await store.nowMs()).toBeGreaterThan(0);
    await store.close();
    await administer(server.url, `alter system reset ${setting}`);
    await administer(server.url, 'select pg_reload_conf()');
  });
});

describe('a login', () => {
  test('that is wrong is refused without a word of it', async () => {
    const url = new URL(await postgresUrl());
    url.password = 'CANARY';
    const error: unknown = await openStore({ database: url.href, world }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'storage_unavailable', message: expect.stringContaining('28P01') });
    expect(String(error)).not.toContain('CANARY');
    url.href = await postgresUrl();
    url.pathname = '/no_such_database';
    await expect(openStore({ database: url.href, world })).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  test('of a plain role can do all but change the schema', async () => {
    await using place = await scratchDatabase();
    const store = await openStore({ database: place.database, world });
    await migrate(store, { mode: 'auto' });
    const url = new URL(place.database);
    const role = `role_${url.pathname.slice(1)}`;
    await administer(place.database, `create role ${role} login password 'secret'`);
    await administer(place.database, `grant select, insert, update, delete on all tables in schema public to ${role}`);
    url.username = role;
    url.password = 'secret';
    const plain = await openStore({ database: url.href, world });
    await migrate(plain, { mode: 'off' });
    expect(await plain.location()).toEqual(await store.location());
    await plain.transaction((tx) => insertTenantKey(tx, { tenant: 'acme', version: 1, wrapped: 'x' }));
    await expect(sql`drop table oauth_tokens`.execute(plain.db)).rejects.toMatchObject({ code: 'storage_unavailable' });
    await Promise.all([plain.close(), store.close()]);
    await administer(place.database, `drop owned by ${role}`);
    await administer(place.database, `drop role ${role}`);
  });
});

describe('a connection', () => {
  test('that is cut ends its transaction with a typed error, and the next one works', async () => {
    await using place = await scratchDatabase();
    const wire = await startWire(place.database);
    const store = await openStore({ database: wire.database, world, poolMax: 2 });
    await migrate(store, { mode: 'auto' });
    const cut = store.transaction(async (tx) => {
      await insertTenantKey(tx, { tenant: 'cut', version: 1, wrapped: 'x' });
      wire.cut();
      // The connection breaks between two statements, while no caller waits for an answer.
      await world.sleep(50);
      await insertTenantKey(tx, { tenant: 'cut', version: 2, wrapped: 'x' });
    });
    await expect(cut).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(await loadTenantKeys(store.db, 'cut')).toEqual([]);
    await store.close();
    await wire.close();
  });

  test('that is not to be had in time is a typed error', async () => {
    await using place = await scratchDatabase();
    // 10 s until a connection stands become 2 s, which is the least.
    const store = await openStore({ database: place.database, world: systemWorld({ timeScale: 0.02 }), poolMax: 1 });
    const gate = Promise.withResolvers<void>();
    const holding = store.transaction(() => gate.promise);
    await expect(store.nowMs()).rejects.toMatchObject({ code: 'storage_unavailable' });
    gate.resolve();
    await holding;
    expect(await store.nowMs()).toBeGreaterThan(0);
    await store.close();
  });

  test('of a process that died takes its transaction with it', async () => {
    await using place = await scratchDatabase();
    const store = await openStore({ database: place.database, world });
    const terminated = store.transaction((tx) => sql`select pg_terminate_backend(pg_backend_pid())`.execute(tx));
    await expect(terminated).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(await store.nowMs()).toBeGreaterThan(0);
    await store.close();
  });

  test('leaves no setting behind, so that a pooler may sit in between', async () => {
    await using place = await scratchDatabase();
    const store = await openStore({ database: place.database, world, poolMax: 1 });
    const setting = sql<{ ms: string }>`select current_setting('statement_timeout') as ms`;
    const inside = await store.transaction((tx) => setting.execute(tx));
    expect(inside.rows).toEqual([{ ms: '8s' }]);
    expect((await store.transaction((tx) => setting.execute(tx), { long: true })).rows).toEqual([{ ms: '0' }]);
    expect((await setting.execute(store.db)).rows).toEqual([{ ms: '0' }]);
    await store.close();
  });
});

/** A wire to the server that can be cut. */
async function startWire(database: string) {
  const url = new URL(database);
  const port = Number(url.port);
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect(port, url.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const address = relay.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  url.port = String(address.port);
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return { database: url.href, cut, close: () => new Promise((resolve) => relay.close(resolve)) };
}

test.each([
  ['FATAL', 'storage_unavailable', 'takes no connections'],
  ['ERROR', 'internal', 'refused a function'],
])('an object that is in another state: %s', (severity, code, words) => {
  const error = Object.assign(new Error('secret'), { severity, code: '55000' });
  expect(postgresFailure(error)).toMatchObject({ code, message: expect.stringContaining(words) });
});
