import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { allowListName, readAllowList } from './allow-list.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'grantry-allow-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = '7'.repeat(64);
const entry = { file: 'a.txt', sha256: [sha256], reason: 'a made-up token', expires: '2027-03-01' };
const dayBefore = Date.parse('2027-02-28T23:59:59.999Z');
const day = Date.parse('2027-03-01T00:00:00Z');

function write(list: unknown): void {
  writeFileSync(join(folder, allowListName), typeof list === 'string' ? list : JSON.stringify(list));
}

test('an entry allows its finding in its file until its day, and is named from then on', async () => {
  write({ allowed: [entry] });
  const before = await readAllowList(folder, dayBefore);
  expect(before.allows({ file: 'a.txt', sha256 })).toBe(true);
  expect(before.allows({ file: 'b.txt', sha256 })).toBe(false);
  expect(before.allows({ file: 'a.txt', sha256: '8'.repeat(64) })).toBe(false);
  expect(before.expired).toEqual([]);
  const after = await readAllowList(folder, day);
  expect(after.allows({ file: 'a.txt', sha256 })).toBe(false);
  expect(after.expired).toEqual([entry]);
});

test('a directory without a list allows nothing', async () => {
  expect((await readAllowList(folder, day)).allows({ file: 'a.txt', sha256 })).toBe(false);
});

test.each([
  ['no JSON', '{"allowed": [gry_', 'has a mistake'],
  ['no reason', { allowed: [{ ...entry, reason: ' ' }] }, 'at allowed.0.reason'],
  ['no day', { allowed: [{ ...entry, expires: 'never' }] }, 'at allowed.0.expires'],
  ['a pattern', { allowed: [{ ...entry, sha256: ['.*'] }] }, 'at allowed.0.sha256.0'],
  ['a member that no list has', { allowed: [], rules: [] }, 'has a mistake'],
])('a list with %s is refused, and not quoted', async (_, list, message) => {
  write(list);
  const refused = readAllowList(folder, day);
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.not.toThrow('gry_');
});
