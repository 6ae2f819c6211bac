import { parseEdges } from '../../audit/edges.ts';
import { type Hash, hashBytes, splitHashes } from '../../audit/merkle.ts';
import type { LogPart } from '../../audit/stream.ts';
import { tileWidth } from '../../audit/tiles.ts';
import { isGrantryError } from '../../base/errors.ts';
import type { Reader } from '../../storage/database.ts';
import { type CheckpointRow, listCheckpoints } from '../../storage/statements/audit/checkpoints.ts';
import { findHead, listTiles } from '../../storage/statements/audit/head.ts';
import type { AuditEntryRow } from '../../storage/statements/audit/log.ts';
import { readEntries } from '../../storage/statements/audit/log.ts';
import { leafText, onlyShard } from './leaf.ts';
import { Names } from './names.ts';

const tilesRead = 16;
const checkpointsRead = 1_000;

/** A part of the stored log; entries come with their rows, whose details an export copies. */
export type StoredPart = Exclude<LogPart, { kind: 'entries' }> | StoredEntries;

export interface StoredEntries {
  readonly kind: 'entries';
  readonly entries: readonly string[];
  readonly rows: readonly AuditEntryRow[];
}

/**
 * Reads the stored log from its beginning: the hashes of full tiles, the entries, and the checkpoints at their places.
 *
 * @param size Entries to read. The log may grow meanwhile, and what comes later is left out.
 */
export async function* storedParts(db: Reader, size: number): AsyncGenerator<StoredPart> {
  const checkpoints = new Checkpoints(db, size);
  const edge = await edgeOf(db);
  const names = new Names(db);
  let seq = 0;
  for (let tile = 0; ; tile += tilesRead) {
    const tiles = await listTiles(db, { shard: onlyShard, level: 0, from: tile, limit: tilesRead });
    for (const { hashes } of tiles) {
      // Of a tile with another length nothing is known; the entries are still checked against the signed roots.
      const whole = hashes.length === tileWidth * hashBytes ? splitHashes(new Uint8Array(hashes)) : undefined;
      if (whole !== undefined) yield { kind: 'hashes', hashes: whole };
    }
    const isNext = edge.tile >= tile && edge.tile < tile + tilesRead;
    if (isNext && tiles.at(-1)?.tile !== edge.tile) yield { kind: 'hashes', hashes: edge.hashes };
    const limit = Math.min(tilesRead * tileWidth, size - seq);
    if (limit <= 0) break;
    const rows = await names.of(await readEntries(db, { shard: onlyShard, from: seq, limit }));
    yield* withCheckpoints(rows, checkpoints, seq);
    seq += rows.length;
    if (rows.length < limit) break;
  }
  // A checkpoint beyond the last entry shows that the tail was cut.
  yield* checkpoints.upTo(size);
}

/** The hashes of the last tile, which is not full, from the head of the tree. */
async function edgeOf(db: Reader): Promise<{ readonly tile: number; readonly hashes: readonly Hash[] }> {
  const head = await findHead(db, onlyShard).catch((error: unknown) => {
    // A head that was altered proves nothing; the entries are still checked against the signed roots.
    if (isGrantryError(error, 'integrity_failed')) return undefined;
    throw error;
  });
  if (head === undefined) return { tile: -1, hashes: [] };
  return { tile: Math.floor(head.size / tileWidth), hashes: parseEdges(head.edges)[0] ?? [] };
}

/** Splits rows where a checkpoint stands. */
async function* withCheckpoints(
  rows: readonly AuditEntryRow[],
  checkpoints: Checkpoints,
  from: number,
): AsyncGenerator<StoredPart> {
  let at = 0;
  while (at < rows.length) {
    const next = await checkpoints.nextSize();
    const end = next === undefined ? rows.length : Math.min(rows.length, Math.max(next - from, at));
    const part = rows.slice(at, end);
    if (part.length > 0) yield { kind: 'entries', entries: part.map(leafText), rows: part };
    yield* checkpoints.upTo(from + end);
    at = end;
  }
}

/** The checkpoints in order, a page at a time. */
class Checkpoints {
  readonly #db: Reader;
  readonly #sizeMax: number;
  #page: CheckpointRow[] = [];
  #after = 0;
  #isOver = false;

  constructor(db: Reader, sizeMax: number) {
    this.#db = db;
    this.#sizeMax = sizeMax;
  }

  async nextSize(): Promise<number | undefined> {
    return (await this.#next())?.size;
  }

  /** Yields and removes the checkpoints up to a size. */
  async *upTo(size: number): AsyncGenerator<StoredPart> {
    for (;;) {
      const next = await this.#next();
      if (next === undefined || next.size > size) return;
      this.#page.shift();
      yield { kind: 'checkpoint', size: next.size, note: next.note };
    }
  }

  async #next(): Promise<CheckpointRow | undefined> {
    if (this.#page.length === 0 && !this.#isOver) {
      const page = await listCheckpoints(this.#db, { shard: onlyShard, after: this.#after, limit: checkpointsRead });
      this.#page = page.filter(({ size }) => size <= this.#sizeMax);
      this.#after = page.at(-1)?.size ?? this.#after;
      this.#isOver = page.length < checkpointsRead || this.#page.length < page.length;
    }
    return this.#page[0];
  }
}
