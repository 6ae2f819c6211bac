import { generateKeySync } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../base/secret.ts';
import { systemWorld } from '../../base/system-world.ts';
import { type StoredTenantKey, TenantKeys } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { shardOf } from './names.ts';
import { registerOwner, retireOwner } from './owner.ts';
import { Spool, type SpoolHead } from './spool.ts';

const owner = { id: 'host:1:a', host: 'host', pid: 1 };
const directories: string[] = [];
const now = () => 90_000_000;

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A spool whose process has ended. */
function deadSpool(spool: Spool): Spool {
  const dead = registerOwner(systemWorld());
  retireOwner(dead);
  return new Spool(spool.directory, dead, now);
}

function newSpool(): Spool {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-spool-'));
  directories.push(directory);
  return new Spool(join(directory, 'spool'), owner, now);
}

function newKeys(): TenantKeys {
  const rows: StoredTenantKey[] = [];
  return new TenantKeys({
    rootKey: generateKeySync('aes', { length: 256 }),
    vaultId: 'vault',
    world: systemWorld(),
    store: {
      load: async (tenant) => rows.filter((row) => row.tenant === tenant),
      insert: async (key) => void rows.push(key),
    },
  });
}

const tenantKeys = newKeys();

function head(change: Partial<SpoolHead> = {}): SpoolHead {
  return {
    version: 1,
    tenant: 'acme',
    grantId: 'a-grant',
    attemptId: 'an-attempt',
    generation: 4,
    fence: 9,
    tokenFingerprint: 'fingerprint',
    candidateId: null,
    owner,
    at: 1_000,
    ...change,
  };
}

function answer(text: string): RawAnswer {
  return {
    status: 200,
    contentType: 'application/json',
    retryAfter: null,
    body: text === '' ? null : new Secret(text),
    incomplete: false,
    requestedAt: 5,
  };
}

async function keep(spool: Spool, text: string, about = head()): Promise<string> {
  const slot = await spool.reserve(`${about.grantId}.${about.attemptId}`);
  await slot.keep(about, await tenantKeys.pin('acme'), answer(text));
  return join(spool.directory, `${about.grantId}.${about.attemptId}.answer`);
}

describe('a spooled answer', () => {
  it.each(['{"access_token":"FAKE"}', '', '"\\ud800 \u2028 <>', `{"pad":"${'x'.repeat(1_000_000)}"}`])(
    'is read back unchanged (%#)',
    async (text) => {
      const spool = newSpool();
      await keep(spool, text);
      const [entry] = await spool.list('a-grant');
      const read = entry?.read(await tenantKeys.pin('acme'));
      expect(read?.body?.reveal() ?? '').toBe(text);
      expect(read).toMatchObject({ status: 200, incomplete: false, requestedAt: 5 });
      expect(entry?.committed).toBe(false);
    },
  );

  it('is readable only by its owner and shows no token', async () => {
    const spool = newSpool();
    const path = await keep(spool, '{"access_token":"FAKE-access-token"}');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(spool.directory).mode & 0o777).toBe(0o700);
    expect(readFileSync(path, 'utf8')).not.toContain('FAKE-access');
  });

  it.each([
    ['tenant', { tenant: 'other' }],
    ['grant', { grantId: 'other' }],
    ['attempt', { attemptId: 'other' }],
    ['generation', { generation: 5 }],
    ['fence', { fence: 10 }],
  ])('does not open under another %s', async (_, change) => {
    const spool = newSpool();
    const path = await keep(spool, '{}');
    const [, sealed] = readFileSync(path, 'utf8').split('\n');
    writeFileSync(path, `${JSON.stringify(head(change))}\n${sealed}\n`);
    const [entry] = await spool.list();
    const keys = await tenantKeys.pin(entry?.head.tenant ?? '');
    expect(() => entry?.read(keys)).toThrow(expect.objectContaining({ code: 'integrity_failed' }));
  });

  it.each([
    ['empty', ''],
    ['not JSON', 'x\ny\n'],
    ['of another version', `${JSON.stringify({ ...head(), version: 2 })}\nx\n`],
    ['half a head', JSON.stringify(head()).slice(0, 40)],
  ])('that is %s stays in place and hides no other answer', async (_, text) => {
    const spool = newSpool();
    await keep(spool, '{}');
    const odd = join(spool.directory, 'odd.answer');
    writeFileSync(odd, text);
    expect((await spool.list()).map((entry) => entry.head.attemptId)).toEqual(['an-attempt']);
    expect(readdirSync(spool.directory)).toContain('odd.answer');
  });

  it('is listed oldest first and by grant', async () => {
    const spool = newSpool();
    const first = await keep(spool, '{}', head({ attemptId: 'a' }));
    await keep(spool, '{}', head({ attemptId: 'b', grantId: 'another' }));
    await keep(spool, '{}', head({ attemptId: 'c' }));
    utimesSync(first, 1, 1);
    expect((await spool.list('a-grant')).map((entry) => entry.head.attemptId)).toEqual(['a', 'c']);
  });
});

describe('a reservation', () => {
  it('allocates its disk space before a token is spent and does not count as an answer', async () => {
    const spool = newSpool();
    const slot = await spool.reserve('an-attempt');
    const [name] = readdirSync(spool.directory);
    expect(name).toBe('an-attempt.waiting');
    expect(statSync(join(spool.directory, name ?? '')).size).toBeGreaterThanOrEqual(16_384);
    // A process that is killed here, or between write and rename, leaves only this file.
    expect(await spool.list()).toEqual([]);
    await slot.discard();
    expect(readdirSync(spool.directory)).toEqual([]);
  });

  it('that a crash left behind is swept, while young reservations and answers stay', async () => {
    const spool = newSpool();
    await keep(spool, '{}');
    const old = await deadSpool(spool).reserve('old');
    const young = await deadSpool(spool).reserve('young');
    for (const name of ['old.waiting', 'a-grant.an-attempt.answer']) utimesSync(join(spool.directory, name), 1, 1);
    await spool.sweep({ olderThan: 60_000 });
    expect(readdirSync(spool.directory).sort()).toEqual(['a-grant.an-attempt.answer', 'young.waiting']);
    await old.discard();
    await young.discard();
  });

  it('that cannot be removed does not fail a sweep', async () => {
    const spool = newSpool();
    await keep(spool, '{}');
    const stuck = join(spool.directory, 'stuck.waiting');
    mkdirSync(stuck);
    utimesSync(stuck, 1, 1);
    await spool.sweep({ olderThan: 60_000 });
    expect(readdirSync(spool.directory)).toContain('stuck.waiting');
  });

  it('is swept in slices so that a start stays fast', async () => {
    const spool = newSpool();
    const dead = deadSpool(spool);
    const slots = await Promise.all(['a', 'b', 'c', 'd'].map((name) => dead.reserve(name)));
    for (const name of ['a', 'b', 'c', 'd']) utimesSync(join(spool.directory, `${name}.waiting`), 1, 1);
    await spool.sweep({ olderThan: 60_000 }, { count: 3, from: 0.99 });
    expect(readdirSync(spool.directory)).toHaveLength(1);
    await spool.sweep({ olderThan: 60_000 }, { count: 3, from: 0 });
    expect(readdirSync(spool.directory)).toEqual([]);
    for (const slot of slots) await slot.discard();
  });

  it('is swept by refreshes, one slice at a time, and does not pile up', async () => {
    const spool = newSpool();
    await keep(spool, '{}');
    for (let index = 0; index < 1_000; index += 1) {
      const path = join(spool.directory, `old-${index}.saved`);
      writeFileSync(path, '');
      utimesSync(path, 1, 1);
    }
    const left = (): number => readdirSync(spool.directory).filter((name) => name.startsWith('old-')).length;
    const seen: number[] = [];
    for (let index = 0; index < 64 * 24; index += 1) {
      const before = left();
      const slot = await spool.reserve(`attempt-${index}`, 60_000);
      seen.push(before - left());
      await slot.discard();
    }
    // A caller that waits for a token does not wait for a scan of the whole directory.
    expect(Math.max(...seen)).toBeLessThanOrEqual(128);
    expect(left()).toBe(0);
  });

  it('counts as an answer as soon as it is kept, before the flush ends', async () => {
    const spool = newSpool();
    const slot = await spool.reserve('an-attempt');
    const tenant = await tenantKeys.pin('acme');
    const keeping = slot.keep(head(), tenant, answer('tokens'));
    const left = readFileSync(join(spool.directory, 'an-attempt.answer'), 'utf8');
    await keeping;
    expect(left.split('\n')).toHaveLength(3);
    expect(readFileSync(join(spool.directory, 'an-attempt.answer'), 'utf8')).toBe(left);
  });

  it('makes its directory again after a removal', async () => {
    const spool = newSpool();
    await (await spool.reserve('grant-1.attempt-1')).discard();
    rmSync(spool.directory, { recursive: true });
    await (await spool.reserve('grant-1.attempt-2')).discard();
    expect(statSync(spool.directory).mode & 0o777).toBe(0o700);
  });

  it('that cannot be made stops the refresh', async () => {
    const spool = newSpool();
    writeFileSync(spool.directory, 'a file');
    await expect(spool.reserve('an-attempt')).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  it('rejects when the answer cannot be written', async () => {
    const spool = newSpool();
    const slot = await spool.reserve('an-attempt');
    rmSync(spool.directory, { recursive: true });
    writeFileSync(spool.directory, 'a file');
    await expect(slot.keep(head(), await tenantKeys.pin('acme'), answer('{}'))).rejects.toThrow(/ENOTDIR|EEXIST/);
    await slot.markCommitted().catch(() => {});
  });

  it.each([
    ['its file', (spool: Spool) => rmSync(join(spool.directory, 'a-grant.an-attempt.waiting'))],
    ['its directory', (spool: Spool) => rmSync(spool.directory, { recursive: true })],
  ])('keeps the answer although %s was removed', async (_, remove) => {
    const spool = newSpool();
    const slot = await spool.reserve('a-grant.an-attempt');
    remove(spool);
    await slot.keep(head(), await tenantKeys.pin('acme'), answer('tokens'));
    const [entry] = await spool.list('a-grant');
    expect(entry?.read(await tenantKeys.pin('acme')).body?.reveal()).toBe('tokens');
    expect(statSync(join(spool.directory, 'a-grant.an-attempt.answer')).mode & 0o777).toBe(0o600);
  });

  it('of a living owner is not swept, however old the clocks make it', async () => {
    const spool = newSpool();
    const living = registerOwner(systemWorld());
    const slot = await new Spool(spool.directory, living, now).reserve('old');
    utimesSync(join(spool.directory, 'old.waiting'), 1, 1);
    await spool.sweep({ olderThan: 365 * 86_400_000 });
    expect(readdirSync(spool.directory)).toEqual(['old.waiting']);
    retireOwner(living);
    await spool.sweep({ olderThan: 365 * 86_400_000 });
    expect(readdirSync(spool.directory)).toEqual([]);
    await slot.discard();
  });

  it('of an owner that cannot be observed is swept after a day', async () => {
    const spool = newSpool();
    const slot = await spool.reserve('old');
    utimesSync(join(spool.directory, 'old.waiting'), 1, 1);
    await spool.sweep({ olderThan: 60_000 });
    expect(readdirSync(spool.directory)).toEqual(['old.waiting']);
    await spool.sweep({ olderThan: 86_500_000 });
    expect(readdirSync(spool.directory)).toEqual([]);
    await slot.discard();
  });
});

it('keeps a committed answer under another name until it is removed', async () => {
  const spool = newSpool();
  const slot = await spool.reserve('a-grant.an-attempt');
  await slot.keep(head(), await tenantKeys.pin('acme'), answer('{}'));
  await slot.markCommitted();
  const [entry] = await spool.list();
  expect(entry?.committed).toBe(true);
  await entry?.markCommitted();
  await entry?.remove();
  expect(await spool.list()).toEqual([]);
});

describe('a committed answer', () => {
  const minute = 60_000;
  /** Keeps and commits an answer at a time. */
  async function commitAt(directory: string, ms: number, attemptId: string): Promise<Spool> {
    const spool = new Spool(directory, owner, () => ms);
    const slot = await spool.reserve(`a-grant.${attemptId}`);
    await slot.keep(head({ attemptId }), await tenantKeys.pin('acme'), answer('{}'));
    await slot.markCommitted();
    return spool;
  }

  it('is kept by the time of its commit in its name, and no sweep reads its file', async () => {
    const { directory } = newSpool();
    await commitAt(directory, 10 * minute, 'first');
    const spool = await commitAt(directory, 20 * minute, 'second');
    for (const name of saved(directory)) rmSync(join(directory, name));
    for (const name of ['first.m10', 'second.m20']) mkdirSync(join(shardIn(directory), `a-grant.${name}.saved`));
    const kept = () => readdirSync(shardIn(directory)).map((name) => name.split('.')[1]);
    await spool.sweep({ olderThan: 11 * minute - 1 });
    expect(kept()).toEqual(['first', 'second']);
    rmSync(join(shardIn(directory), 'a-grant.first.m10.saved'), { recursive: true });
    writeFileSync(join(shardIn(directory), 'a-grant.first.m10.saved'), '');
    await spool.sweep({ olderThan: 11 * minute });
    expect(kept()).toEqual(['second']);
  });

  it('costs a sweep nothing in a minute in which its folder was swept already', async () => {
    const { directory } = newSpool();
    const spool = await commitAt(directory, 10 * minute, 'first');
    await spool.sweep({ olderThan: 20 * minute });
    expect(saved(directory)).toEqual([]);
    await commitAt(directory, 10 * minute, 'late');
    await spool.sweep({ olderThan: 20 * minute + 59_000 });
    expect(saved(directory)).toHaveLength(1);
    await spool.sweep({ olderThan: 21 * minute });
    expect(saved(directory)).toEqual([]);
  });

  it('of an earlier version, without a time in its name, is listed and swept by the age of its file', async () => {
    const spool = newSpool();
    const path = await keep(spool, '{}');
    renameSync(path, path.replace(/answer$/, 'saved'));
    expect(await spool.list('a-grant')).toMatchObject([{ committed: true }]);
    await spool.sweep({ olderThan: 60_000 });
    expect(readdirSync(spool.directory)).toHaveLength(1);
    utimesSync(path.replace(/answer$/, 'saved'), 1, 1);
    await spool.sweep({ olderThan: 60_000 });
    expect(readdirSync(spool.directory)).toEqual([]);
  });

  it('whose folder cannot be read hides no answer of a grant in another folder, and is noted', async () => {
    const { directory } = newSpool();
    const spool = await commitAt(directory, minute, 'first');
    rmSync(shardIn(directory), { recursive: true });
    writeFileSync(shardIn(directory), 'not a directory');
    await keep(spool, '{}', head({ grantId: 'b-grant' }));
    expect((await spool.list()).map((entry) => entry.head.grantId)).toEqual(['b-grant']);
    expect(spool.unreadableOf('a-grant')).toBe(shardIn(directory));
    expect(spool.unreadableOf('b-grant')).toBeUndefined();
    rmSync(shardIn(directory));
    await spool.list();
    expect(spool.unreadable).toEqual([]);
  });
});

describe('an answer that is set aside', () => {
  it.each(['refused', 'unread'] as const)('as %s outlives every sweep of committed answers', async (kind) => {
    const spool = newSpool();
    await keep(spool, '{}');
    const [entry] = await spool.list('a-grant');
    expect(await entry?.setAside(kind)).toBe(true);
    await spool.sweep({ olderThan: Number.MAX_SAFE_INTEGER });
    expect(await spool.list('a-grant', [kind])).toMatchObject([{ kind, head: head() }]);
    expect(await spool.depth()).toMatchObject({ answer: 0, [kind]: 1 });
    expect(spool.hasAnswer('a-grant.an-attempt')).toBe(kind === 'refused');
    await spool.sweep({ olderThan: 0, unreadBefore: Number.MAX_SAFE_INTEGER });
    expect(await spool.list('a-grant', [kind])).toHaveLength(kind === 'refused' ? 1 : 0);
  });

  it('as unread does not fill the disk: the first and last ones of a grant are kept', async () => {
    const spool = newSpool();
    for (let index = 0; index < 40; index += 1) {
      const timed = new Spool(spool.directory, owner, () => index * 60_000);
      const slot = await timed.reserve(`a-grant.${index}`);
      await slot.keep(head({ attemptId: `${index}` }), await tenantKeys.pin('acme'), answer('{}'));
      await slot.setAside('unread');
    }
    const left = (await spool.list('a-grant', ['unread'])).map((entry) => Number(entry.head.attemptId));
    const expected = Array.from({ length: 40 }, (_, index) => index).filter((index) => index < 16 || index >= 24);
    expect(left.sort((one, other) => one - other)).toEqual(expected);
  });

  it('that cannot be read is noted for its grant', async () => {
    const spool = newSpool();
    await keep(spool, '{}');
    mkdirSync(join(spool.directory, 'b-grant.an-attempt.answer'));
    expect(await spool.list()).toHaveLength(1);
    expect(spool.unreadableOf('b-grant')).toBe(join(spool.directory, 'b-grant.an-attempt.answer'));
    expect(spool.unreadableOf('a-grant')).toBeUndefined();
  });
});

it('touches no file that is not its own', async () => {
  const spool = newSpool();
  await keep(spool, '{}');
  const path = join(spool.directory, 'a-grant.a-session.consent');
  writeFileSync(path, 'sealed');
  utimesSync(path, 1, 1);
  const never = Number.MAX_SAFE_INTEGER;
  await spool.sweep({ olderThan: never, unreadBefore: never });
  expect(await spool.list()).toHaveLength(1);
  expect(readdirSync(spool.directory)).toContain('a-grant.a-session.consent');
});

function shardIn(directory: string): string {
  return join(directory, shardOf('a-grant'));
}

/** The paths of all committed answers. */
function saved(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.saved'));
}
