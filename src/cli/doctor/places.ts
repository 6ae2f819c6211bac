import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, sep } from 'node:path';
import { othersWho } from '../../base/writers.ts';
import { readDepth } from '../../vault/spool/depth.ts';
import { unreadableParts } from '../../vault/spool/unreadable.ts';
import type { Settings } from '../settings.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Below this, the answers of the next refreshes may not fit. */
const freeBytesFail = 16 * 1024 * 1024;
const freeBytesWarn = 256 * 1024 * 1024;
/** Linux's numbers of file systems in memory: tmpfs and ramfs. */
const memoryFileSystems = new Set([0x01021994, 0x858458f6]);

export async function checkHome({ home }: Pick<Settings, 'home'>): Promise<Finding> {
  const state = await stat(home).catch(() => null);
  if (state === null) return fail('home', `${home} does not exist`, 'Run: grantry init', 'not_found');
  if (!state.isDirectory())
    return fail('home', `${home} is not a directory`, 'Set GRANTRY_HOME to a directory.', 'invalid_request');
  const writers = othersWho(home, '700');
  if (writers !== null) return fail('home', `${home} is not safe: ${writers.who}`, writers.action, 'invalid_request');
  return ok('home', home);
}

export async function checkDisk({ home, spool }: Settings): Promise<Finding> {
  const places = await Promise.all([home, spool].map(async (path) => ({ path, free: await freeBytes(path) })));
  const least = places.reduce((one, other) => (other.free < one.free ? other : one));
  const detail = `${Math.floor(least.free / 1024 / 1024)} MiB free for ${least.path}`;
  if (least.free < freeBytesFail)
    return fail('disk', detail, 'Free disk space: without it no token is refreshed.', 'storage_unavailable');
  return least.free < freeBytesWarn ? warn('disk', detail, 'Free disk space soon.') : ok('disk', detail);
}

/** Checks that the spool survives a restart, and names the answers in it that are not committed. */
export async function checkSpool({ spool }: Pick<Settings, 'spool'>): Promise<Finding> {
  const place = await existingPart(spool);
  if (!(await mayWrite(place))) {
    return fail(
      'spool',
      `${spool} cannot be written`,
      'Give this user write access, or set GRANTRY_SPOOL.',
      'storage_unavailable',
    );
  }
  const found = [await placeTrouble(spool, place), ...(await openAnswers(spool))].filter((each) => each !== undefined);
  if (found.length === 0) return ok('spool', spool);
  return warn('spool', found.map(({ detail }) => detail).join('; '), found.map(({ action }) => action).join(' '));
}

interface Trouble {
  readonly detail: string;
  readonly action: string;
}

async function placeTrouble(spool: string, place: string): Promise<Trouble | undefined> {
  const action = 'Set GRANTRY_SPOOL to a directory on a disk that survives a restart.';
  const inMemory = process.platform === 'linux' && memoryFileSystems.has((await statfs(place)).type);
  if (inMemory) return { detail: `${spool} is in memory and is gone after a restart`, action };
  const temporary = ['/tmp', '/var/tmp', '/dev/shm', '/run', tmpdir()].find((root) =>
    `${spool}${sep}`.startsWith(`${root}${sep}`),
  );
  if (temporary === undefined) return undefined;
  return { detail: `${spool} is under ${temporary}, which systems empty: fine for a trial`, action };
}

/** The kinds of files that need attention, each with what it means and what to do. */
const attention = [
  ['answer', 'answers are not committed yet', 'Run grantry health: the next use of a grant commits its answer.'],
  [
    'refused',
    'answers are set aside: the database refuses to save them',
    'Mend the cause, which the log names, then run grantry recover TENANT PROVIDER for the grants with the reason answer_refused.',
  ],
  [
    'unread',
    'answers were not understood and are kept',
    'Nothing is needed while their grants work. Otherwise run grantry recover TENANT PROVIDER, also after the next upgrade.',
  ],
] as const;

async function openAnswers(spool: string): Promise<Trouble[]> {
  const depth = await readDepth(spool);
  const troubles: Trouble[] = attention
    .filter(([kind]) => depth[kind] > 0)
    .map(([kind, means, action]) => ({ detail: `${depth[kind]} ${means}`, action }));
  const unreadable = await unreadableParts(spool);
  if (unreadable.length > 0) {
    const action = 'Make these readable for the user that runs Grantry.';
    troubles.push({ detail: `cannot be read: ${unreadable.join(', ')}`, action });
  }
  return troubles;
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(await existingPart(path));
  return bavail * bsize;
}

/** The path itself, or its nearest existing parent. */
async function existingPart(path: string): Promise<string> {
  for (let part = path; ; part = dirname(part)) {
    const there = await stat(part).then(
      () => true,
      () => false,
    );
    if (there || part === dirname(part)) return part;
  }
}

async function mayWrite(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}
