import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { silentLogger } from '../../base/log.ts';
import { systemWorld } from '../../base/system-world.ts';
import { migrate } from '../../storage/migrations/migrate.ts';
import type { EventMark } from '../../storage/statements/events.ts';
import { livesAt, readInstance } from '../../storage/statements/instance.ts';
import { type OpenedStore, openStore, type StoreLocation } from '../../storage/store.ts';
import { nonceOf, registerOwner, retireOwner } from '../spool/owner.ts';
import { Guard, type WriteInstance } from './guard.ts';
import { HighWaterMarks } from './high-water-mark.ts';
import { openInstance } from './instance.ts';

const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

it('does not mistake a database for an older copy when another process notes an event between two checks', async () => {
  const { store, home } = await newStore();
  const write = writeTo(store);
  const instance = await openInstance(store, write, systemWorld(), { installation: null, scrubPending: false });
  const marks = new HighWaterMarks(home, 'nonce');
  const options = { store, write, marks, instance, ...parts };
  const event = await insert(store, 1_000);
  marks.write(instance.vault_id, { epoch: instance.epoch, event, timeline: null });
  expect((await Guard.open(options)).reason).toBeNull();
  marks.write(instance.vault_id, {
    epoch: instance.epoch,
    event: { ...event, id: otherId, at: 1_001 },
    timeline: null,
  });
  expect((await Guard.open(options)).reason).toContain('an older copy was restored');
});

it('writes no mark while the file cannot be read, so that the marks of other vaults stay', async () => {
  const { home } = await newStore();
  const path = join(home, 'seen.json');
  const mark = { epoch: 1, event: null, timeline: null };
  new HighWaterMarks(home, 'one').write('vault-1', mark);
  const before = readFileSync(path, 'utf8');
  renameSync(path, `${path}.away`);
  // Reading a directory fails for every user.
  mkdirSync(path);
  expect(() => new HighWaterMarks(home, 'two').write('vault-2', mark)).toThrow('EISDIR');
  rmdirSync(path);
  renameSync(`${path}.away`, path);
  expect(readFileSync(path, 'utf8')).toBe(before);
  new HighWaterMarks(home, 'two').write('vault-2', mark);
  expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).vaults)).toEqual(['vault-1', 'vault-2']);
  expect(readdirSync(home).filter((name) => name.startsWith('seen'))).toEqual(['seen.json']);
});

it('draws each vault a name of its own for the file that replaces the marks', () => {
  const owners = [registerOwner(systemWorld()), registerOwner(systemWorld())];
  expect(new Set(owners.map(nonceOf)).size).toBe(2);
  for (const owner of owners) retireOwner(owner);
});

it('keeps the mark of the lost event when a process writes into an older copy before it checks again', async () => {
  const { store, home } = await newStore();
  const write = writeTo(store);
  const instance = await openInstance(store, write, systemWorld(), { installation: null, scrubPending: false });
  const marks = new HighWaterMarks(home, 'nonce');
  let now = 0;
  const guard = await Guard.open({ store, write, marks, instance, ...parts, monotonic: () => now });
  now += 10_000;
  await guard.note(await insert(store, 1_000));
  // A restore in place: the file and the server stay the same.
  await store.db.deleteFrom('grantry_events').execute();
  now += 10_000;
  await guard.note(await insert(store, 2_000));
  await guard.recheck();
  expect(guard.reason).toContain('an older copy was restored');
});

it('keeps the mark of the lost event when a process closes after it wrote into an older copy', async () => {
  const { store, home } = await newStore();
  const write = writeTo(store);
  const instance = await openInstance(store, write, systemWorld(), { installation: null, scrubPending: false });
  const marks = new HighWaterMarks(home, 'nonce');
  let now = 0;
  const options = { store, write, marks, instance, ...parts, monotonic: () => now };
  const guard = await Guard.open(options);
  now += 10_000;
  await guard.note(await insert(store, 1_000));
  await store.db.deleteFrom('grantry_events').execute();
  now += 1_000;
  await guard.note(await insert(store, 2_000));
  now += 10_000;
  await guard.close();
  expect((await Guard.open(options)).reason).toContain('an older copy was restored');
});

it('reports a failover until the lost commits are back, in every process and after a failed replay', async () => {
  const { promote, open, event, mark } = await newPostgres();
  await event(0);
  expect((await open()).failedOver).toBe(false);
  promote();
  // One process dies, and another one commits an event first.
  expect((await open()).failedOver).toBe(true);
  const slow = await open();
  await slow.note(await event(1));
  slow.remember();
  expect(mark()?.timeline).toBe(1);
  const failing = slow.finishFailover(() => Promise.reject(new Error('the database is away')));
  await expect(failing).rejects.toThrow('away');
  expect([slow.failedOver, mark()?.timeline, (await open()).failedOver]).toEqual([true, 1, true]);
  await slow.finishFailover(async () => {
    expect((await open()).failedOver).toBe(true);
  });
  expect([slow.failedOver, mark()?.timeline, (await open()).failedOver]).toEqual([false, 2, false]);
});

it('reports a failover in a home without a mark too, until the lost commits are back', async () => {
  const { promote, open, forget } = await newPostgres();
  await open();
  forget();
  promote();
  expect((await open()).failedOver).toBe(true);
  const next = await open();
  expect(next.failedOver).toBe(true);
  await next.finishFailover(() => Promise.resolve());
  expect((await open()).failedOver).toBe(false);
});

it('does not end a second failover that happens during the replay of the first', async () => {
  const { promote, open, event } = await newPostgres();
  await event(0);
  await open();
  promote();
  const guard = await open();
  await guard.finishFailover(async () => {
    promote();
    await guard.recheck();
  });
  expect(guard.failedOver).toBe(true);
  await guard.finishFailover(() => Promise.resolve());
  expect([guard.failedOver, guard.reason]).toEqual([false, null]);
});

it('recognises the old primary before its home does', async () => {
  const { promote, open, event } = await newPostgres();
  await event(0);
  await open();
  promote();
  const guard = await open();
  expect(guard.failedOver).toBe(true);
  promote(-1);
  await guard.recheck();
  expect(guard.reason).toContain('old primary');
});

it('treats a promoted PostgreSQL as a backup if it lacks more than the spool can restore', async () => {
  const { promote, open, event, lose } = await newPostgres();
  for (let minute = 0; minute <= 60; minute += 1) {
    await event(minute);
    (await open()).remember();
  }
  await lose(30);
  promote();
  const guard = await open();
  expect(guard.failedOver).toBe(false);
  expect(guard.reason).toContain('old backup');
});

it.each([
  ['the last minutes of a busy day', Array.from({ length: 61 }, (_, minute) => minute), 52],
  ['the one event of the last hour', [0, 60, 120, 180], 120],
  ['several events after a quiet day', [0, 1, 1_440, 1_440.1, 1_440.2], 1],
])('treats a promoted PostgreSQL that lacks %s as a failover', async (_, minutes, kept) => {
  const { promote, open, event, lose } = await newPostgres();
  for (const minute of minutes) {
    const noted = await event(minute);
    const guard = await open();
    await guard.note(noted);
    guard.remember();
  }
  await lose(kept);
  promote();
  const guard = await open();
  expect([guard.failedOver, guard.reason]).toEqual([true, null]);
});

it('does not hold the lost events of an earlier failover against a database that is promoted again', async () => {
  const { promote, open, event, lose } = await newPostgres();
  const noteAt = async (minute: number): Promise<void> => {
    const noted = await event(minute);
    const guard = await open();
    await guard.note(noted);
    guard.remember();
  };
  for (const minute of [0, 3, 6]) await noteAt(minute);
  await lose(5);
  promote();
  // Another process commits on the new primary before this one checks it.
  await event(7);
  const first = await open();
  expect(first.failedOver).toBe(true);
  await first.finishFailover(() => Promise.resolve());
  for (const minute of [10, 13, 16.5, 17]) await noteAt(minute);
  await lose(16.7);
  promote();
  const second = await open();
  expect([second.failedOver, second.reason]).toEqual([true, null]);
});

it('recognises an older copy after the clock was ahead for a while', async () => {
  const { store, home } = await newStore();
  const write = writeTo(store);
  const instance = await openInstance(store, write, systemWorld(), { installation: null, scrubPending: false });
  let now = 0;
  const options = { store, write, marks: new HighWaterMarks(home, 'nonce'), instance, ...parts, monotonic: () => now };
  const guard = await Guard.open(options);
  const year = 365 * 86_400_000;
  for (const at of [1_000, systemWorld().now() + year, 2_000, 3_000]) {
    now += 10_000;
    await guard.note(await insert(store, at));
  }
  await guard.close();
  expect((await Guard.open(options)).reason).toBeNull();
  await store.db.deleteFrom('grantry_events').where('at', '=', 3_000).execute();
  expect((await Guard.open(options)).reason).toContain('an older copy was restored');
});

it('records one adoption when two processes adopt at once', async () => {
  const { store, home } = await newStore();
  const write = writeTo(store);
  const instance = await openInstance(store, write, systemWorld(), { installation: null, scrubPending: false });
  const recorded: string[] = [];
  const recording: WriteInstance = (run) =>
    store.transaction((tx) => run({ tx, recordOther: ({ type }) => recorded.push(type) }));
  const options = { store, write: recording, marks: new HighWaterMarks(home, 'nonce'), instance, ...parts };
  const [one, other] = [await Guard.open(options), await Guard.open(options)];
  const outcomes = await Promise.allSettled([one.adopt(), other.adopt()]);
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  expect(recorded).toEqual(['vault.adopted']);
});

it('compares the birth times of a file only if both are known', () => {
  expect(livesAt('inode:7', 'inode:7 born:5')).toBe(true);
  expect(livesAt('inode:7 born:5', 'inode:7')).toBe(true);
  expect(livesAt('inode:7 born:5', 'inode:7 born:5')).toBe(true);
  expect(livesAt('inode:7 born:5', 'inode:7 born:6')).toBe(false);
  expect(livesAt('inode:7', 'inode:77 born:5')).toBe(false);
  expect(livesAt('12:5', '12:6')).toBe(false);
});

const parts = {
  installation: null,
  logger: silentLogger,
  monotonic: () => 0,
  now: () => 0,
  spoolKeptMs: 600_000,
  recheckMs: 2_000,
} as const;

const otherId = '0190a000-0000-7000-8000-000000000001';

const values = {
  tenant: 'acme',
  grant_id: null,
  provider: null,
  account: null,
  type: 'grant.refreshed',
  from_state: null,
  to_state: null,
  generation: null,
  reason: null,
  details: '{}',
} as const;

async function newStore(): Promise<{ store: OpenedStore; home: string }> {
  const home = mkdtempSync(join(tmpdir(), 'grantry-guard-'));
  cleanUps.push(() => rmSync(home, { recursive: true, force: true }));
  const store = await openStore({ database: `sqlite:${join(home, 'grantry.db')}`, world: systemWorld() });
  cleanUps.push(() => store.close());
  await migrate(store, { mode: 'auto' });
  return { store, home };
}

/** A fake PostgreSQL that can be promoted, and can lose its events from some minute on. */
async function newPostgres() {
  const { store: sqlite, home } = await newStore();
  let place: StoreLocation = { location: '12:5', timeline: 1 };
  const store: OpenedStore = { ...sqlite, location: () => Promise.resolve(place) };
  const write = writeTo(store);
  const options = { installation: null, scrubPending: false };
  const { vault_id: vaultId } = await openInstance(store, write, systemWorld(), options);
  const marks = new HighWaterMarks(home, 'nonce');
  return {
    promote: (by = 1): void => {
      place = { ...place, timeline: (place.timeline ?? 0) + by };
    },
    open: async (): Promise<Guard> => {
      const instance = await readInstance(store.db);
      if (instance === undefined) throw new Error('there is no instance');
      return Guard.open({ store, write, marks, instance, ...parts });
    },
    event: (minute: number): Promise<EventMark> => insert(store, atMinute(minute)),
    lose: async (afterMinute: number): Promise<void> => {
      await store.db.deleteFrom('grantry_events').where('at', '>', atMinute(afterMinute)).execute();
    },
    mark: () => marks.read(vaultId),
    forget: (): void => rmSync(join(home, 'seen.json'), { force: true }),
  };
}

function writeTo(store: OpenedStore): WriteInstance {
  return (run) => store.transaction((tx) => run({ tx, recordOther: () => {} }));
}

async function insert(store: OpenedStore, at: number): Promise<EventMark> {
  const row = { ...values, id: randomUUID(), at };
  await store.db.insertInto('grantry_events').values(row).execute();
  return { tenant: row.tenant, id: row.id, at };
}

function atMinute(minute: number): number {
  return 1_000_000 + minute * 60_000;
}
