import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { scratchSqlite } from '../../../test/support/postgres.ts';
import { type LogFields, silentLogger } from '../../base/log.ts';
import { systemWorld } from '../../base/system-world.ts';
import { migrate } from '../migrations/migrate.ts';
import { openStore } from '../store.ts';

const world = systemWorld();

describe('a place where no database can be', () => {
  test.each([
    ['no path', () => 'sqlite:', 'names no file'],
    ['a directory', (directory: string) => `sqlite:${directory}`, 'is a directory'],
    ['a directory that is missing', (directory: string) => `sqlite:${directory}/none/x.db`, 'does not exist'],
    ['a file as directory', (directory: string) => `sqlite:${directory}/text/x.db`, 'is a file'],
    ['a device', () => 'sqlite:/dev/null', 'is not a file'],
    ['another host', () => 'sqlite://server/share/x.db', 'another host'],
    ['a Windows share', () => 'sqlite:\\\\server\\share\\x.db', 'another host'],
    ['a URL', () => 'sqlite:file:/tmp/x.db?vfs=unix-none', 'a URL'],
    ['a NUL', (directory: string) => `sqlite:${directory}/x\0.db`, 'names no file'],
    ['text', (directory: string) => `sqlite:${directory}/text`, 'not a SQLite database'],
    ['an unknown scheme', () => 'mysql://u:CANARY@h/d', 'not named as'],
    ['a broken URL', () => 'postgres://u:CANARY@h:notaport/d', 'not named as'],
  ])('%s is refused in a sentence', async (_, name, words) => {
    await using place = scratchSqlite();
    writeFileSync(join(place.directory, 'text'), 'this is not a database, it is a letter to a friend\n'.repeat(40));
    const opening = openStore({ database: name(place.directory), world });
    await expect(opening).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringContaining(words) });
    await expect(opening).rejects.not.toMatchObject({ message: expect.stringContaining('CANARY') });
  });

  test('a link to itself is unreachable', async () => {
    await using place = scratchSqlite();
    symlinkSync(place.path, place.path);
    await expect(openStore({ database: place.database, world })).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  test('a truncated database is damaged, not empty', async () => {
    await using place = scratchSqlite();
    const store = await openStore({ database: place.database, world });
    await migrate(store, { mode: 'auto' });
    await store.close();
    const copy = join(place.directory, 'copy.db');
    copyFileSync(place.path, copy);
    execFileSync('truncate', ['--size=20000', copy]);
    const opening = openStore({ database: `sqlite:${copy}`, world }).then((damaged) =>
      migrate(damaged, { mode: 'auto' }),
    );
    await expect(opening).rejects.toMatchObject({ code: 'storage_unavailable' });
  });
});

describe('the file', () => {
  test('only the owner can read the database file and its log', async () => {
    await using place = scratchSqlite();
    const store = await openStore({ database: place.database, world });
    await migrate(store, { mode: 'auto' });
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(place.path + suffix).mode & 0o777).toBe(0o600);
    await store.close();
  });

  test('is warned of when others may read it', async () => {
    await using place = scratchSqlite();
    writeFileSync(place.path, '', { mode: 0o644 });
    const warnings: [string, LogFields | undefined][] = [];
    const logger = { ...silentLogger, warn: (message: string, fields?: LogFields) => warnings.push([message, fields]) };
    await (await openStore({ database: place.database, world, logger })).close();
    expect(warnings).toEqual([[expect.stringContaining('read by other users'), { mode: '0644' }]]);
  });

  test.each([
    [0o620, 'its group can write it'],
    [0o666, 'every user of this machine can write it'],
  ])('refuses a file of mode %o, and says what to do', async (mode, who) => {
    await using place = scratchSqlite();
    for (const suffix of ['', '-wal']) {
      for (const each of ['', '-wal']) writeFileSync(place.path + each, '', { mode: 0o600 });
      chmodSync(place.path + suffix, mode);
      await expect(openStore({ database: place.database, world: systemWorld() })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining(who),
        action: `Run: chmod 600 '${place.path}${suffix}'`,
      });
      chmodSync(place.path + suffix, 0o600);
    }
  });

  test.runIf(process.geteuid?.() === 0)('refuses a file of another user', async () => {
    await using place = scratchSqlite();
    writeFileSync(place.path, '', { mode: 0o600 });
    chownSync(place.path, 65_534, 65_534);
    await expect(openStore({ database: place.database, world: systemWorld() })).rejects.toMatchObject({
      code: 'invalid_request',
      action: expect.stringMatching(/^Run: chown 0 /),
    });
  });

  test('is durable at each commit, and strict', async () => {
    await using place = scratchSqlite();
    const store = await openStore({ database: place.database, world });
    const pragma = async (name: string) => (await sql.raw(`pragma ${name}`).execute(store.db)).rows;
    expect(await pragma('journal_mode')).toEqual([{ journal_mode: 'wal' }]);
    expect(await pragma('synchronous')).toEqual([{ synchronous: 2 }]);
    expect(await pragma('foreign_keys')).toEqual([{ foreign_keys: 1 }]);
    expect(await pragma('busy_timeout')).toEqual([{ timeout: 0 }]);
    await migrate(store, { mode: 'auto' });
    const { rows } = await sql<{ name: string; strict: number }>`pragma table_list`.execute(store.db);
    const ours = rows.filter(({ name }) => name === 'oauth_tokens' || name.startsWith('grantry_'));
    expect(ours.length).toBeGreaterThan(12);
    expect(ours.filter(({ strict }) => strict !== 1)).toEqual([]);
    await store.close();
  });

  test('keeps its place when its content changes', async () => {
    await using place = scratchSqlite();
    const store = await openStore({ database: place.database, world });
    const before = await store.location();
    await migrate(store, { mode: 'auto' });
    await world.sleep(5);
    for (const statement of ['vacuum', 'pragma wal_checkpoint(truncate)', 'pragma user_version = 7', 'vacuum']) {
      await sql.raw(statement).execute(store.db);
      expect(await store.location()).toEqual(before);
    }
    await store.close();
    const again = await openStore({ database: place.database, world });
    expect(await again.location()).toEqual(before);
    await again.close();
  });

  test('that is made anew lives elsewhere, though it may get the inode that became free', async () => {
    await using place = scratchSqlite();
    const location = async (): Promise<string> => {
      const store = await openStore({ database: place.database, world });
      const found = await store.location();
      await store.close();
      return found.location;
    };
    const before = await location();
    // Not every file system tells.
    if (!before.includes('born')) return;
    await world.sleep(5);
    rmSync(place.path);
    expect(await location()).not.toBe(before);
  });

  test('that is replaced by another one lives elsewhere', async () => {
    await using place = scratchSqlite();
    const store = await openStore({ database: place.database, world });
    const before = await store.location();
    copyFileSync(place.path, `${place.path}.copy`);
    renameSync(`${place.path}.copy`, place.path);
    expect(await store.location()).not.toEqual(before);
    renameSync(place.path, `${place.path}.gone`);
    await expect(store.location()).rejects.toMatchObject({ code: 'storage_unavailable' });
    await store.close();
  });
});

describe('two handles on one file', () => {
  test('a writer waits for another without stopping its process, and its readers do not wait', async () => {
    await using place = scratchSqlite();
    const { first, second, close } = await pair(place.database, 1);
    const gate = Promise.withResolvers<void>();
    const holding = first.transaction(() => gate.promise);
    await new Promise((resolve) => setTimeout(resolve, 20));
    let written = false;
    const writing = second.transaction(async () => {
      written = true;
    });
    // An event loop that SQLite stopped would not tick before the writer has given up.
    for (let tick = 0; tick < 20; tick += 1) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await second.nowMs()).toBeGreaterThan(0);
    expect(written).toBe(false);
    gate.resolve();
    await Promise.all([holding, writing]);
    expect(written).toBe(true);
    await close();
  });

  test('a writer that waits too long gets a typed error, single statements too, and the next one works', async () => {
    await using place = scratchSqlite();
    // 10 s busy time become 100 ms.
    const { first, second, close } = await pair(place.database, 0.01);
    const gate = Promise.withResolvers<void>();
    const holding = first.transaction(() => gate.promise);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const busy = { code: 'storage_unavailable', message: expect.stringContaining('busy'), retryable: true };
    await expect(second.transaction(async () => {})).rejects.toMatchObject(busy);
    const insert = sql`insert into grantry_schema values (99, 'x', 1)`;
    await expect(insert.execute(second.db)).rejects.toMatchObject(busy);
    gate.resolve();
    await holding;
    expect(await second.transaction(async () => 'works')).toBe('works');
    await close();
  });

  test('a commit of the one is seen in the counter of the other, its own are not', async () => {
    await using place = scratchSqlite();
    const { first, second, close } = await pair(place.database, 1);
    const before = await first.changeCounter();
    await sql`insert into grantry_tenant_keys values ('a', 1, 'x', 1)`.execute(first.db);
    expect(await first.changeCounter()).toBe(before);
    await sql`insert into grantry_tenant_keys values ('b', 1, 'x', 1)`.execute(second.db);
    expect(await first.changeCounter()).not.toBe(before);
    await close();
  });
});

test('a transaction that takes too long is undone', async () => {
  await using place = scratchSqlite();
  let offset = 0;
  const slow = { ...world, monotonic: () => world.monotonic() + offset };
  const store = await openStore({ database: place.database, world: slow });
  await migrate(store, { mode: 'auto' });
  const late = store.transaction(async (tx) => {
    await sql`insert into grantry_tenant_keys values ('late', 1, 'x', 1)`.execute(tx);
    offset += 9_000;
  });
  await expect(late).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining('too long'),
  });
  const { rows } = await sql`select * from grantry_tenant_keys`.execute(store.db);
  expect(rows).toEqual([]);
  await store.close();
});

test('many different statements do not fill the memory', async () => {
  const store = await openStore({ database: 'sqlite::memory:', world });
  for (let i = 0; i < 1_000; i += 1) {
    const { rows } = await sql.raw<{ i: number }>(`select ${i} as i`).execute(store.db);
    expect(rows).toStrictEqual([{ i }]);
  }
  await store.close();
});

async function pair(database: string, timeScale: number) {
  const first = await openStore({ database, world });
  await migrate(first, { mode: 'auto' });
  const second = await openStore({ database, world: systemWorld({ timeScale }) });
  return { first, second, close: () => Promise.all([first.close(), second.close()]) };
}
