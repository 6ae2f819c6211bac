import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { directoryTenant, keepDirectoryTenant } from './tenant-file.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'grantry-desk-'));
  mkdirSync(join(root, 'acme/src/deep'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string): string => join(root, name);

test('a file names the tenant of its directory and of all below, and the nearest one wins', () => {
  expect(directoryTenant(at('acme/src'))).toBeNull();
  writeFileSync(at('.grantry'), 'globex\r\n');
  expect(keepDirectoryTenant(at('acme'), 'acme')).toBe(at('acme/.grantry'));
  expect(readFileSync(at('acme/.grantry'), 'utf8')).toBe('acme\n');
  expect(directoryTenant(at('acme/src/deep'))).toEqual({ tenant: 'acme', file: at('acme/.grantry') });
  expect(directoryTenant(root)).toEqual({ tenant: 'globex', file: at('.grantry') });
});

test('a directory of that name is a home, also behind a link, and is passed over', () => {
  writeFileSync(at('.grantry'), 'globex');
  mkdirSync(at('acme/.grantry'));
  symlinkSync(at('acme/.grantry'), at('acme/src/.grantry'));
  expect(directoryTenant(at('acme/src/deep'))?.tenant).toBe('globex');
  expect(() => keepDirectoryTenant(at('acme'), 'acme')).toThrow(/is a directory/);
});

test.each([
  ['nothing', ''],
  ['two lines', 'acme\nglobex\n'],
  ['a variable', 'GRANTRY_TENANT=acme\n'],
  ['control characters', 'ac\u001bme\n'],
  ['a name that is too long', 'a'.repeat(129)],
  ['much text', 'a '.repeat(5_000)],
])('a file with %s is refused, and its text is not repeated', (_, text) => {
  writeFileSync(at('acme/.grantry'), text);
  expect(() => directoryTenant(at('acme'))).toThrow(/acme\/\.grantry would name .* (does not hold|is larger than)/);
});

test('a link, and a file that every user can write, are refused', () => {
  writeFileSync(at('name'), 'globex\n');
  symlinkSync(at('name'), at('acme/.grantry'));
  expect(() => directoryTenant(at('acme'))).toThrow(/is a symbolic link/);
  writeFileSync(at('acme/src/.grantry'), 'globex\n');
  chmodSync(at('acme/src/.grantry'), 0o666);
  expect(() => directoryTenant(at('acme/src'))).toThrow(/every user/);
});

test.skipIf(process.getuid?.() !== 0)("another user's file is refused", async () => {
  const { chownSync } = await import('node:fs');
  writeFileSync(at('acme/.grantry'), 'globex\n');
  chownSync(at('acme/.grantry'), 12_345, 12_345);
  expect(() => directoryTenant(at('acme/src'))).toThrow(/belongs to another user/);
});
