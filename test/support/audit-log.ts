/** Logs, keys and dice for the tests of `src/audit/`. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../../src/audit/canonical.ts';
import { cosignatureVerifier } from '../../src/audit/cosignature.ts';
import { noteSigner, noteVerifier, type SignatureType, type SigningKey, signingKey } from '../../src/audit/keys.ts';
import { type Hash, leafHash, rootOfLeaves } from '../../src/audit/merkle.ts';
import type { NoteSigner, NoteVerifier } from '../../src/audit/note.ts';
import type { HashReader } from '../../src/audit/proofs.ts';

/** A small generator (mulberry32): a seed repeats a run. */
export function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** An entry as a log keeps it: its canonical text. */
export function entryText(seq: number, more: Readonly<Record<string, string>> = {}): string {
  return canonicalJson({
    seq,
    kind: 'token.handed_out',
    tenant: `tenant-${seq % 7}`,
    at: 1_764_528_000_000 + seq,
    ...more,
  });
}

/** Reads the number of such an entry. */
export function seqOfEntry(entry: string): number | undefined {
  try {
    const value: unknown = JSON.parse(entry);
    const isEntry = typeof value === 'object' && value !== null && 'seq' in value && typeof value.seq === 'number';
    return isEntry ? Number(value.seq) : undefined;
  } catch {
    return undefined;
  }
}

/** Hashes of the leaves of a log with `count` short entries. */
export function shortLeaves(count: number): Hash[] {
  return Array.from({ length: count }, (_, index) => leafHash(`entry ${index}`));
}

/** The stored hashes of a log. It refuses reads across the end of a tile, and of tiles that are not complete below. */
export function readerOf(leaves: readonly Hash[]): HashReader {
  const levels: Hash[][] = [[...leaves]];
  for (let below = levels[0] ?? []; below.length >= 256; below = levels.at(-1) ?? []) {
    const count = Math.floor(below.length / 256);
    levels.push(Array.from({ length: count }, (_, at) => rootOfLeaves(below.slice(at * 256, (at + 1) * 256))));
  }
  return (level, index, count) => {
    if (Math.floor(index / 256) !== Math.floor((index + count - 1) / 256)) throw new RangeError('across tiles');
    return levels[level]?.slice(index, index + count) ?? [];
  };
}

const mlDsa = signingKey('probe', 'ml-dsa-44-cosignature', Buffer.alloc(32));

/** True if this Node.js has ML-DSA-44; the oldest supported one has not. */
export const hasMlDsa = mlDsa.ok;

/** The types with a time that this Node.js can sign. */
export const timedTypes: readonly SignatureType[] = hasMlDsa
  ? ['ed25519-cosignature', 'ml-dsa-44-cosignature']
  : ['ed25519-cosignature'];

/** A key that its name and type decide. */
export function keyFor(name: string, type: SignatureType = 'ed25519', salt = ''): SigningKey {
  const made = signingKey(name, type, createHash('sha256').update(`${name} ${salt}`).digest());
  if (!made.ok) throw new Error(`no ${type} in this Node.js`);
  return made.value;
}

/** A signer and a verifier of a log's own type. */
export function logKey(name: string, salt = ''): { signer: NoteSigner; verifier: NoteVerifier; key: SigningKey } {
  const key = keyFor(name, 'ed25519', salt);
  return { signer: noteSigner(key), verifier: noteVerifier(key.verifierKey), key };
}

/** The verifier of a key's cosignatures. */
export function verifierFor(key: SigningKey): NoteVerifier {
  const made = cosignatureVerifier(key.verifierKey);
  if (!made.ok) throw new Error('no ML-DSA-44 in this Node.js');
  return made.value;
}
