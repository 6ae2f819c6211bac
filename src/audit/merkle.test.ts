import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { dice, readerOf, shortLeaves } from '../../test/support/audit-log.ts';
import {
  appendLeaf,
  appendLeaves,
  emptyRange,
  type Hash,
  hashFromBase64,
  hashFromHex,
  hashOf,
  hashToBase64,
  hashToHex,
  joinHashes,
  leafHash,
  nodeHash,
  rangeFromBytes,
  rangeToBytes,
  rootOf,
  rootOfLeaves,
  splitHashes,
} from './merkle.ts';
import { consistencyProof, inclusionProof, storedRoot, verifyConsistency, verifyInclusion } from './proofs.ts';

/** The reference tree of RFC 6962's implementations: eight leaves and the roots of its eight sizes. */
const entries = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const leaves = entries.map((hex) => leafHash(Buffer.from(hex, 'hex')));
const read = readerOf(leaves);
const [n01, n45, n67] = [
  '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
];
const n23 = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e';
const n4567 = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4';
const n45pair = '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a';

describe('the reference tree', () => {
  test('has the published roots at all sizes', async () => {
    expect(hashToHex(rootOf(emptyRange))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    let range = emptyRange;
    for (const [index, leaf] of leaves.entries()) {
      range = appendLeaf(range, leaf);
      expect(hashToHex(rootOf(range))).toBe(roots[index]);
      expect(hashToHex(await storedRoot(read, index + 1))).toBe(roots[index]);
    }
  });

  test.each([
    [0, 1, []],
    [0, 8, [n01, n23, n4567]],
    [5, 8, [n45, n67, roots[3]]],
    [2, 3, [roots[1]]],
    [1, 5, [roots[0], n23, n45]],
  ])('has the published inclusion proof of leaf %i in %i', async (index, size, expected) => {
    expect((await inclusionProof(read, index, size)).map(hashToHex)).toEqual(expected);
  });

  test.each([
    [1, 1, []],
    [1, 8, [n01, n23, n4567]],
    [6, 8, [n45pair, n67, roots[3]]],
    [2, 5, [n23, n45]],
  ])('has the published consistency proof from %i to %i', async (from, to, expected) => {
    expect((await consistencyProof(read, from, to)).map(hashToHex)).toEqual(expected);
  });
});

/** The definition of RFC 6962 §2.1, word by word. */
function plainRoot(of: readonly Hash[]): Hash {
  const [only] = of;
  if (only === undefined || of.length === 1) return only ?? rootOf(emptyRange);
  let middle = 1;
  while (middle * 2 < of.length) middle *= 2;
  return nodeHash(plainRoot(of.slice(0, middle)), plainRoot(of.slice(middle)));
}

describe('all sizes up to 70', () => {
  const many = shortLeaves(70);
  const reader = readerOf(many);
  const heads = Array.from({ length: 71 }, (_, size) => ({ size, root: rootOfLeaves(many.slice(0, size)) }));
  const head = (size: number) => heads[size] ?? expect.unreachable();
  const leafAt = (index: number) => many[index] ?? expect.unreachable();

  test('have the root of the definition', () => {
    for (const { size, root } of heads) expect(root).toEqual(plainRoot(many.slice(0, size)));
  });

  test('have inclusion proofs that hold for their leaf, place and tree only', async () => {
    for (let size = 1; size <= 70; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const proof = await inclusionProof(reader, index, size);
        const [tree, leaf] = [head(size), leafAt(index)];
        expect(verifyInclusion(tree, index, leaf, proof)).toBe(true);
        expect(verifyInclusion(tree, index, leafAt((index + 1) % 70), proof)).toBe(false);
        expect(verifyInclusion({ ...tree, root: head(size - 1).root }, index, leaf, proof)).toBe(false);
        expect(verifyInclusion(tree, index, leaf, [...proof, leaf])).toBe(false);
        if (size > 1) expect(verifyInclusion(tree, index, leaf, proof.slice(0, -1))).toBe(false);
        if (size > 1) expect(verifyInclusion(tree, (index + 1) % size, leaf, proof)).toBe(false);
        expect(verifyInclusion(tree, size, leaf, proof)).toBe(false);
      }
    }
  });

  test('have consistency proofs between each pair that hold for that pair only', async () => {
    for (let to = 0; to <= 70; to += 1) {
      for (let from = 0; from <= to; from += 1) {
        const proof = await consistencyProof(reader, from, to);
        const [older, newer] = [head(from), head(to)];
        expect(verifyConsistency(older, newer, proof), `${from} to ${to}`).toBe(true);
        const other = leafHash('other');
        expect(verifyConsistency({ ...older, root: other }, newer, proof)).toBe(false);
        expect(verifyConsistency(older, newer, [...proof, other])).toBe(false);
        if (from > 0) expect(verifyConsistency(older, { ...newer, root: other }, proof)).toBe(false);
        for (const [place] of proof.entries()) {
          expect(verifyConsistency(older, newer, proof.with(place, other))).toBe(false);
          expect(verifyConsistency(older, newer, proof.toSpliced(place, 1))).toBe(false);
        }
        if (from !== to) expect(verifyConsistency(newer, older, proof)).toBe(false);
      }
    }
  });
});

const seed = 20_261_130;

test(`proofs across tiles hold in trees of thousands of leaves (seed ${seed})`, async () => {
  const roll = dice(seed);
  const many = shortLeaves(5000);
  const reader = readerOf(many);
  for (let turn = 0; turn < 40; turn += 1) {
    const to = 1 + roll(5000);
    const from = roll(to + 1);
    const index = roll(to);
    const heads = [from, to].map((size) => ({ size, root: rootOfLeaves(many.slice(0, size)) }));
    const [older = expect.unreachable(), newer = expect.unreachable()] = heads;
    expect(await storedRoot(reader, to)).toEqual(newer.root);
    expect(verifyConsistency(older, newer, await consistencyProof(reader, from, to))).toBe(true);
    const proof = await inclusionProof(reader, index, to);
    expect(verifyInclusion(newer, index, many[index] ?? expect.unreachable(), proof)).toBe(true);
  }
});

test('sizes beyond 32 bits verify', () => {
  // A tree of 2^40 equal leaves has one hash for each level.
  const levels = [leafHash('same')];
  for (let level = 0; level < 40; level += 1)
    levels.push(nodeHash(levels[level] ?? expect.unreachable(), levels[level] ?? expect.unreachable()));
  const root = levels[40] ?? expect.unreachable();
  const tree = { size: 2 ** 40, root };
  expect(verifyInclusion(tree, 2 ** 39 + 5, leafHash('same'), levels.slice(0, 40))).toBe(true);
  const newer = { size: 2 ** 40 + 1, root: nodeHash(root, leafHash('new')) };
  expect(verifyConsistency(tree, newer, [leafHash('new')])).toBe(true);
});

test('proofs of leaves and trees that do not exist are refused', async () => {
  await expect(inclusionProof(read, 8, 8)).rejects.toThrow(RangeError);
  await expect(inclusionProof(read, 0.5, 8)).rejects.toThrow(RangeError);
  await expect(consistencyProof(read, 5, 4)).rejects.toThrow(RangeError);
  await expect(storedRoot(() => [], 3)).rejects.toThrow('tile level 0 lacks hashes from 0 on');
});

test('a range grows in any portions, and keeps the old one', () => {
  const many = shortLeaves(300);
  const whole = appendLeaves(emptyRange, many);
  const part = appendLeaves(emptyRange, many.slice(0, 77));
  expect(appendLeaves(part, many.slice(77))).toEqual(whole);
  expect(part).toEqual(appendLeaves(emptyRange, many.slice(0, 77)));
  expect(emptyRange).toEqual({ size: 0, hashes: [] });
});

test('a range is stored as bytes, and bytes of another size are refused', () => {
  const range = appendLeaves(emptyRange, shortLeaves(11));
  expect(rangeFromBytes(11, rangeToBytes(range))).toEqual(range);
  expect(rangeFromBytes(12, rangeToBytes(range))).toBeUndefined();
  expect(rangeFromBytes(11, rangeToBytes(range).subarray(1))).toBeUndefined();
  expect(rangeFromBytes(-1, Buffer.alloc(0))).toBeUndefined();
  expect(rangeFromBytes(0, Buffer.alloc(0))).toEqual(emptyRange);
});

test('hashes are written and read in one spelling', () => {
  const hash = leafHash('x');
  expect(hash).toEqual(createHash('sha256').update('\0x').digest());
  expect(leafHash('ü€😀')).toEqual(leafHash(Buffer.from('ü€😀')));
  expect(hashFromHex(hashToHex(hash))).toEqual(hash);
  expect(hashFromBase64(hashToBase64(hash))).toEqual(hash);
  expect(splitHashes(joinHashes([hash, hash]))).toHaveLength(2);
  expect(splitHashes(Buffer.alloc(33))).toBeUndefined();
  expect(hashOf(Buffer.alloc(31))).toBeUndefined();
  const text = hashToBase64(hash);
  const spellings = [
    hashToHex(hash).toUpperCase(),
    text.slice(0, -1),
    `${text}=`,
    ` ${text}`,
    `${text}\n`,
    text.replace(/.=$/, 'B='),
  ];
  for (const spelling of spellings) expect(hashFromBase64(spelling), spelling).toBeUndefined();
  expect(hashFromHex(hashToHex(hash).toUpperCase())).toBeUndefined();
});
