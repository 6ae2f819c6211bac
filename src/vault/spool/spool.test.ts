import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  answer,
  deadSpool,
  head,
  keep,
  newSpool,
  now,
  removeSpools,
  tenantKeys,
} from '../../../test/support/spools.ts';
import { systemWorld } from '../../base/system-world.ts';
import { registerOwner, retireOwner } from './owner.ts';
import { Spool } from './spool.ts';

afterEach(removeSpools);

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
    ['of another version', `${JSON.stringify({ ...head(), version: 3 })}\nx\n`],
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
