import { expect, test } from 'vitest';
import {
  bundleOf,
  completedTiles,
  entryBytesMax,
  parseTilePath,
  partialTiles,
  readBundle,
  tilePath,
  writeBundle,
} from './tiles.ts';

test.each([
  [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
  [{ level: 0, index: 1234, width: 256 }, 'tile/0/x001/234'],
  [{ level: 0, index: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
  [{ level: 2, index: 999, width: 1 }, 'tile/2/999.p/1'],
  [{ level: 63, index: 1000, width: 255 }, 'tile/63/x001/000.p/255'],
  [{ level: 'entries' as const, index: 273, width: 112 }, 'tile/entries/273.p/112'],
])('the tile %o has the path %s', (tile, path) => {
  expect(tilePath(tile)).toBe(path);
  expect(parseTilePath(path)).toEqual(tile);
});

test.each([
  '',
  'tile/0',
  'tile/00/000',
  'tile/64/000',
  'tile/0/0',
  'tile/0/x000/001',
  'tile/0/001/001',
  'tile/0/x001/x001',
  'tile/0/000.p/0',
  'tile/0/000.p/256',
  'tile/0/000.p/01',
  'tile/entry/000',
  'tile/8/0/000/',
  '/tile/0/000',
  'tile/0/000\n',
  'tile/0/x999/x999/x999/x999/x999/999',
])('%o is no path of a tile', (path) => {
  expect(parseTilePath(path)).toBeUndefined();
});

test('a log of 70,000 entries has the tiles that the specification counts', () => {
  const complete = completedTiles(0, 70_000);
  expect(complete.filter(({ level }) => level === 0)).toHaveLength(273);
  expect(complete.filter(({ level }) => level === 1)).toEqual([{ level: 1, index: 0, width: 256 }]);
  expect(complete).toHaveLength(274);
  expect(partialTiles(70_000).map(tilePath)).toEqual(['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
  expect(partialTiles(256).map(tilePath)).toEqual(['tile/1/000.p/1']);
  expect(partialTiles(0)).toEqual([]);
});

test('a log that grows in any steps completes each tile once', () => {
  for (const step of [1, 100, 256, 257, 70_000]) {
    const steps = [];
    for (let from = 0; from < 70_000; from += step) steps.push(...completedTiles(from, Math.min(from + step, 70_000)));
    const paths = steps.map(tilePath);
    expect(new Set(paths).size).toBe(paths.length);
    expect(new Set(paths)).toEqual(new Set(completedTiles(0, 70_000).map(tilePath)));
  }
  expect(completedTiles(255, 256).map(tilePath)).toEqual(['tile/0/000']);
  expect(completedTiles(65_535, 65_536).map(tilePath)).toEqual(['tile/0/255', 'tile/1/000']);
  expect(completedTiles(256, 511)).toEqual([]);
});

test('a bundle stands beside its tile', () => {
  expect(tilePath(bundleOf({ level: 0, index: 7, width: 3 }))).toBe('tile/entries/007.p/3');
});

test('a bundle keeps its entries, the empty and the longest too', () => {
  const longest = 'x'.repeat(entryBytesMax);
  const bytes = writeBundle(['', 'ü', Buffer.from([0, 255]), longest]);
  expect(Buffer.from(bytes.subarray(0, 6)).toString('hex')).toBe('00000002c3bc');
  expect(readBundle(bytes)?.map((entry) => Buffer.from(entry).toString('latin1'))).toEqual([
    '',
    Buffer.from('ü').toString('latin1'),
    '\0ÿ',
    longest,
  ]);
  expect(readBundle(Buffer.alloc(0))).toEqual([]);
  expect(() => writeBundle([`${longest}x`])).toThrow('exceeds 65535 bytes');
});

test('a bundle that is cut, or has more than 256 entries, is refused', () => {
  const bytes = writeBundle(['abc', 'd']);
  for (const length of [1, 2, 4, 6, 7]) expect(readBundle(bytes.subarray(0, length)), String(length)).toBeUndefined();
  expect(readBundle(writeBundle(Array.from({ length: 256 }, () => 'x')))).toHaveLength(256);
  expect(readBundle(writeBundle(Array.from({ length: 257 }, () => 'x')))).toBeUndefined();
});
