/**
 * The Merkle tree of RFC 6962 §2.1 over SHA-256, and the compact range: the few hashes from which a tree grows. Only
 * `node:crypto` computes hashes.
 */
import { hash } from 'node:crypto';

declare const isHash: unique symbol;

/** A SHA-256 value: 32 bytes. No function changes its bytes. */
export type Hash = Uint8Array & { readonly [isHash]: true };

export const hashBytes = 32;

/** A tree of `size` leaves as the roots of its perfect subtrees, largest first: one for each 1 in `size`, written binary. */
export interface CompactRange {
  readonly size: number;
  readonly hashes: readonly Hash[];
}

/** The tree without leaves. */
export const emptyRange: CompactRange = { size: 0, hashes: [] };

/** Computes SHA-256 of a text (as UTF-8) or of bytes. */
export function sha256(data: string | Uint8Array): Hash {
  // A text of one byte for each character is the fastest way out of node:crypto: half the time of a buffer.
  return brand(Buffer.from(hash('sha256', data, 'binary'), 'latin1'));
}

/** Computes the hash of a leaf: SHA-256(0x00 ‖ entry). A text is hashed as UTF-8. */
export function leafHash(entry: string | Uint8Array): Hash {
  if (typeof entry === 'string') return sha256(`\0${entry}`);
  const bytes = Buffer.allocUnsafe(entry.length + 1);
  bytes[0] = 0;
  bytes.set(entry, 1);
  return sha256(bytes);
}

// Computing a hash never yields, so the calls share their input.
const pair = new Uint8Array(1 + 2 * hashBytes);
pair[0] = 1;

/** Computes the hash of an inner node: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Hash, right: Hash): Hash {
  pair.set(left, 1);
  pair.set(right, 1 + hashBytes);
  return sha256(pair);
}

/** Returns the range with one more leaf. */
export function appendLeaf(range: CompactRange, leaf: Hash): CompactRange {
  return appendLeaves(range, [leaf]);
}

/** Returns the range with more leaves, in their order. */
export function appendLeaves({ size, hashes }: CompactRange, leaves: readonly Hash[]): CompactRange {
  const grown = [...hashes];
  let count = size;
  for (const leaf of leaves) {
    let top = leaf;
    // As a binary counter carries: each 1 at the end is a subtree as large as `top`.
    for (let rest = count; rest % 2 === 1; rest = Math.floor(rest / 2)) {
      const left = grown.pop();
      if (left === undefined) throw new RangeError('a compact range has too few hashes for its size');
      top = nodeHash(left, top);
    }
    grown.push(top);
    count += 1;
  }
  return { size: count, hashes: grown };
}

/** Computes the root of the tree. The root of the empty tree is SHA-256 of nothing (RFC 6962 §2.1). */
export function rootOf({ hashes }: CompactRange): Hash {
  return hashes.length === 0 ? sha256('') : hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** Computes the root of a tree from its leaves, or from perfect subtrees of one size, of which the last may be smaller. */
export function rootOfLeaves(leaves: readonly Hash[]): Hash {
  return rootOf(appendLeaves(emptyRange, leaves));
}

/** Writes the hashes of a range one after the other, to be stored beside its size. */
export function rangeToBytes({ hashes }: CompactRange): Uint8Array {
  return joinHashes(hashes);
}

/** Reads a stored range. Returns `undefined` if the bytes do not fit the size. */
export function rangeFromBytes(size: number, bytes: Uint8Array): CompactRange | undefined {
  if (!isTreeSize(size)) return undefined;
  const hashes = splitHashes(bytes);
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return hashes?.length === ones ? { size, hashes } : undefined;
}

/** Writes hashes one after the other, 32 bytes each: the content of a tile. */
export function joinHashes(hashes: readonly Hash[]): Uint8Array {
  return Buffer.concat(hashes);
}

/** Reads hashes of 32 bytes each. Returns `undefined` if a part of one is left. The bytes are copied. */
export function splitHashes(bytes: Uint8Array): Hash[] | undefined {
  if (bytes.length % hashBytes !== 0) return undefined;
  const copy = Buffer.from(bytes);
  return Array.from({ length: bytes.length / hashBytes }, (_, index) =>
    brand(copy.subarray(index * hashBytes, (index + 1) * hashBytes)),
  );
}

/** True if both hashes have the same bytes. */
export function sameHash(one: Hash, other: Hash): boolean {
  return Buffer.compare(one, other) === 0;
}

/** Takes 32 bytes as a hash. Returns `undefined` for any other length. */
export function hashOf(bytes: Uint8Array): Hash | undefined {
  return bytes.length === hashBytes ? brand(Buffer.from(bytes)) : undefined;
}

/** Writes a hash as 64 hexadecimal digits. */
export function hashToHex(value: Hash): string {
  return Buffer.from(value).toString('hex');
}

/** Writes a hash in base64 (RFC 4648 §4), as checkpoints and proofs show it. */
export function hashToBase64(value: Hash): string {
  return Buffer.from(value).toString('base64');
}

/** Reads 64 hexadecimal digits in lower case. Returns `undefined` for any other text. */
export function hashFromHex(text: string): Hash | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? hashOf(Buffer.from(text, 'hex')) : undefined;
}

/** Reads base64 of 32 bytes. Returns `undefined` for any other text, and for a second spelling of the same bytes. */
export function hashFromBase64(text: string): Hash | undefined {
  const value = hashOf(Buffer.from(text, 'base64'));
  return value !== undefined && hashToBase64(value) === text ? value : undefined;
}

/** True for a number of leaves that can be counted exactly. */
export function isTreeSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

function brand(bytes: Uint8Array): Hash {
  // The only place that brands: its callers made or checked the 32 bytes.
  return bytes as Hash;
}
