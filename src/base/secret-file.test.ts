import { chmodSync, lchownSync, lstatSync, mkdtempSync, rmSync, type Stats, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { secretFileFault } from './secret-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'grantry-secret-file-'));
const path = join(folder, 'key');
writeFileSync(path, 'x');
afterAll(() => rmSync(folder, { recursive: true }));

const us = 1_000;
const own = lstatSync(path).uid;

function state(uid: number, mode: number, gid = us): Stats {
  return Object.assign(lstatSync(path), { uid, gid, mode: 0o100000 | mode });
}

// The link's own owner is the real user here, who must then be root to be trusted by another one.
describe.skipIf(own !== 0)('a file with a secret', () => {
  beforeEach(() => {
    vi.spyOn(process, 'geteuid').mockReturnValue(us);
    vi.spyOn(process, 'getegid').mockReturnValue(us);
    vi.spyOn(process, 'getgroups').mockReturnValue([us, 2_000]);
  });
  afterEach(() => vi.restoreAllMocks());

  test.each([
    ['only its owner reads it', us, 0o600, us],
    ['root mounted it for this user', 0, 0o400, 0],
    ['root mounted it for the group of this user', 0, 0o440, us],
    ['root mounted it for another group of this user', 0, 0o640, 2_000],
  ])('is good when %s', (_, uid, mode, gid) => {
    expect(secretFileFault(path, state(uid, mode, gid))).toBeUndefined();
  });

  test.each([
    ['another user made it', 65_534, 0o600, us, 'belongs to another user', `chown ${us} ${path}`],
    ['its group reads it', us, 0o640, us, 'is accessible to other users', `chmod 600 ${path}`],
    ['all read it', us, 0o644, us, 'is accessible to other users', `chmod 600 ${path}`],
    ['a group that is not ours reads it', 0, 0o440, 3_000, 'is accessible to other users', 'fsGroup'],
    ['the group writes it', 0, 0o460, us, 'is accessible to other users', 'fsGroup'],
    ['all read the mount', 0, 0o444, us, 'is accessible to other users', 'fsGroup'],
  ])('is refused when %s', (_, uid, mode, gid, what, action) => {
    expect(secretFileFault(path, state(uid, mode, gid))).toMatchObject({
      what,
      action: expect.stringContaining(action) as string,
    });
  });

  test('is refused behind a link of another user, and good behind one of root', () => {
    const link = join(folder, 'link');
    symlinkSync(path, link);
    expect(secretFileFault(link, state(us, 0o600))).toBeUndefined();
    lchownSync(link, 65_534, 65_534);
    expect(secretFileFault(link, state(us, 0o600))?.what).toBe('belongs to another user');
  });

  test('of root itself is only for root', () => {
    vi.mocked(process.geteuid ?? (() => 0)).mockReturnValue(0);
    vi.mocked(process.getegid ?? (() => 0)).mockReturnValue(0);
    vi.mocked(process.getgroups ?? (() => [])).mockReturnValue([0]);
    chmodSync(path, 0o600);
    expect(secretFileFault(path, state(0, 0o600, 0))).toBeUndefined();
    expect(secretFileFault(path, state(0, 0o440, 0))?.action).toBe(`Run: chmod 600 ${path}`);
  });
});
