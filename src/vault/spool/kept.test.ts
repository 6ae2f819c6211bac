import { mkdirSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { answer, head, keep, newSpool, owner, removeSpools, tenantKeys } from '../../../test/support/spools.ts';
import { shardOf } from './names.ts';
import { Spool } from './spool.ts';

afterEach(removeSpools);

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
    const path = join(spool.directory, 'b-grant.an-attempt.answer');
    expect(spool.unreadableOf('b-grant')).toBe(path);
    expect([spool.newlyUnreadable(), spool.newlyUnreadable()]).toEqual([[path], []]);
    expect(spool.unreadableOf('a-grant')).toBeUndefined();
    rmSync(path, { recursive: true });
    await spool.list();
    expect(spool.unreadable).toEqual([]);
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
