/** Inclusion and consistency proofs (RFC 9162 §2.1.3 and §2.1.4; the proofs are those of RFC 6962 §2.1.1 and §2.1.2). */
import { type Hash, isTreeSize, nodeHash, rootOfLeaves, sameHash } from './merkle.ts';
import { tileHeight } from './tiles.ts';

/**
 * Reads stored hashes: of tile level `level`, `count` hashes from `index` on. A hash of level L at index i is the root of
 * the leaves from i · 256^L to (i + 1) · 256^L. A read never crosses the end of a tile.
 */
export type HashReader = (level: number, index: number, count: number) => Promise<readonly Hash[]> | readonly Hash[];

/** The size and root of a tree. */
export interface TreeHead {
  readonly size: number;
  readonly root: Hash;
}

/** The leaves from `start` to before `end`. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** Makes the proof that the leaf `index` is in the tree of `size` leaves: at most 53 hashes, lowest first. */
export async function inclusionProof(read: HashReader, index: number, size: number): Promise<Hash[]> {
  if (!isTreeSize(size) || !isTreeSize(index) || index >= size) throw new RangeError('the tree has no such leaf');
  const spans: Span[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + largestPowerBelow(end - start);
    spans.push(index < middle ? { start: middle, end } : { start, end: middle });
    if (index < middle) end = middle;
    else start = middle;
  }
  return rootsOf(read, spans.toReversed());
}

/** Makes the proof that the tree of `to` leaves continues the tree of `from` leaves. Empty if `from` is 0 or equals `to`. */
export async function consistencyProof(read: HashReader, from: number, to: number): Promise<Hash[]> {
  if (!isTreeSize(from) || !isTreeSize(to) || from > to) throw new RangeError('the older tree is larger');
  if (from === 0 || from === to) return [];
  const spans: Span[] = [];
  let [start, end] = [0, to];
  while (end !== from) {
    const middle = start + largestPowerBelow(end - start);
    spans.push(from <= middle ? { start: middle, end } : { start, end: middle });
    if (from <= middle) end = middle;
    else start = middle;
  }
  // The verifier has the root of the whole older tree already.
  if (start > 0) spans.push({ start, end });
  return rootsOf(read, spans.toReversed());
}

/** Computes the root of the first `size` leaves from stored hashes. */
export async function storedRoot(read: HashReader, size: number): Promise<Hash> {
  return size === 0 ? rootOfLeaves([]) : spanRoot(read, { start: 0, end: size });
}

/** Checks an inclusion proof, as in RFC 9162 §2.1.3.2. */
export function verifyInclusion(tree: TreeHead, index: number, leaf: Hash, proof: readonly Hash[]): boolean {
  if (!isTreeSize(tree.size) || !isTreeSize(index) || index >= tree.size) return false;
  let [node, last, root] = [index, tree.size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      root = nodeHash(sibling, root);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      root = nodeHash(root, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameHash(root, tree.root);
}

/**
 * Checks a consistency proof, as in RFC 9162 §2.1.4.2. Two trees of one size need equal roots and an empty proof. Every tree
 * continues the empty tree, with an empty proof.
 */
export function verifyConsistency(from: TreeHead, to: TreeHead, proof: readonly Hash[]): boolean {
  if (!isTreeSize(from.size) || !isTreeSize(to.size) || from.size > to.size) return false;
  if (from.size === to.size) return proof.length === 0 && sameHash(from.root, to.root);
  if (from.size === 0) return proof.length === 0 && sameHash(from.root, rootOfLeaves([]));
  let [node, last] = [from.size - 1, to.size - 1];
  while (isOdd(node)) [node, last] = [half(node), half(last)];
  // The older tree is perfect if its size is a power of two, and then its root opens the proof.
  const [first, ...rest] = node === 0 ? [from.root, ...proof] : proof;
  if (first === undefined || proof.length === 0) return false;
  let [older, newer] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newer = nodeHash(newer, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameHash(older, from.root) && sameHash(newer, to.root);
}

function rootsOf(read: HashReader, spans: readonly Span[]): Promise<Hash[]> {
  return Promise.all(spans.map((span) => spanRoot(read, span)));
}

/** Splits the span into perfect subtrees, largest first, and joins their roots from the right. */
async function spanRoot(read: HashReader, { start, end }: Span): Promise<Hash> {
  const roots: Promise<Hash>[] = [];
  for (let at = start; at < end; ) {
    const leaves = largestPowerUpTo(end - at);
    roots.push(perfectRoot(read, at, leaves));
    at += leaves;
  }
  return (await Promise.all(roots)).reduceRight((right, left) => nodeHash(left, right));
}

/** Reads the widest stored hashes below a perfect subtree: 1 to 128 of one tile. */
async function perfectRoot(read: HashReader, start: number, leaves: number): Promise<Hash> {
  const level = Math.floor(Math.log2(leaves) / tileHeight);
  const each = 2 ** (tileHeight * level);
  const stored = await read(level, start / each, leaves / each);
  if (stored.length !== leaves / each) throw new RangeError(`tile level ${level} lacks hashes from ${start / each} on`);
  return rootOfLeaves(stored);
}

/** Returns the largest power of two smaller than `count`, for `count` of 2 or more. */
function largestPowerBelow(count: number): number {
  const power = largestPowerUpTo(count);
  return power === count ? power / 2 : power;
}

function largestPowerUpTo(count: number): number {
  let power = 1;
  while (power * 2 <= count) power *= 2;
  return power;
}

function isOdd(value: number): boolean {
  return value % 2 === 1;
}

function half(value: number): number {
  return Math.floor(value / 2);
}
