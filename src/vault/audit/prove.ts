import { parseEdges } from '../../audit/edges.ts';
import { type Hash, hashToBase64, splitHashes } from '../../audit/merkle.ts';
import { consistencyProof, type HashReader, inclusionProof } from '../../audit/proofs.ts';
import { tileWidth } from '../../audit/tiles.ts';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import type { AuditProof } from '../../schemas/audit.ts';
import { findHead, listTiles } from '../../storage/statements/audit/head.ts';
import { listEntries } from '../../storage/statements/audit/log.ts';
import type { VaultContext } from '../context.ts';
import { checkpointNow } from './checkpoint.ts';
import { leafText, onlyShard } from './leaf.ts';

/** Proves that an entry is in the log, as it is signed now. @throws {GrantryError} `not_found` */
export async function proveEntry(context: VaultContext, seq: number): Promise<AuditProof> {
  if (!Number.isSafeInteger(seq) || seq < 0) throw invalidRequest('An entry has a whole number from 0.');
  const { note, size, verifiers } = await checkpointNow(context);
  const page = { seq, newestFirst: false, limit: 1 };
  const [row] = await listEntries(context.store.db, { shard: onlyShard }, page);
  if (row === undefined || row.seq !== seq || seq >= size) {
    throw new GrantryError('not_found', `The audit log has no entry ${seq}; it has ${size}.`);
  }
  const proof = await inclusionProof(await readerOf(context), seq, size);
  return { seq, entry: leafText(row), proof: proof.map(hashToBase64), checkpoint: note, verifiers };
}

/** Proves that the log of one size goes on from the log of another. */
export async function proveGrowth(context: VaultContext, from: number, to: number): Promise<Hash[]> {
  return consistencyProof(await readerOf(context), from, to);
}

/** Reads stored hashes: those of full tiles, and those at the edge. */
async function readerOf({ store }: VaultContext): Promise<HashReader> {
  const head = await findHead(store.db, onlyShard);
  const edges = head === undefined ? [] : parseEdges(head.edges);
  return async (level, index, count) => {
    const tile = Math.floor(index / tileWidth);
    const from = index % tileWidth;
    const [row] = await listTiles(store.db, { shard: onlyShard, level, from: tile, limit: 1 });
    const isFull = row !== undefined && row.tile === tile;
    const hashes = isFull ? splitHashes(new Uint8Array(row.hashes)) : edges[level];
    return hashes?.slice(from, from + count) ?? [];
  };
}
