import { hashBytes, splitHashes } from '../../audit/merkle.ts';
import type { LogPart } from '../../audit/stream.ts';
import { tileWidth } from '../../audit/tiles.ts';
import type { Reader } from '../../storage/database.ts';
import { type CheckpointRow, listCheckpoints } from '../../storage/statements/audit/checkpoints.ts';
import { listTiles } from '../../storage/statements/audit/head.ts';
import { type AuditEntryRow, listEntries } from '../../storage/statements/audit/log.ts';
import { leafText, onlyShard } from './leaf.ts';

const tilesRead = 16;
const checkpointsRead = 1_000;

/** A part of the stored log; entries come with their rows, whose details an export copies. */
export type StoredPart = Exclude<LogPart, { kind: 'entries' }> | StoredEntries;

export interface StoredEntries {
  readonly kind: 'entries';
  readonly entries: readonly string[];
  readonly rows: readonly AuditEntryRow[];
}

/** Reads the stored log from its beginning: the hashes of full tiles, the entries, and the checkpoints at their places. */
export async function* storedParts(db: Reader): AsyncGenerator<StoredPart> {
  const checkpoints = new Checkpoints(db);
  let seq = 0;
  for (let tile = 0; ; tile += tilesRead) {
    const tiles = await listTiles(db, { shard: onlyShard, level: 0, from: tile, limit: tilesRead });
    for (const { hashes } of tiles) {
      // Of a tile with another length nothing is known; the entries are still checked against the signed roots.
      const whole = hashes.length === tileWidth * hashBytes ? splitHashes(new Uint8Array(hashes)) : undefined;
      if (whole !== undefined) yield { kind: 'hashes', hashes: whole };
    }
    const limit = tilesRead * tileWidth;
    const rows = await listEntries(db, { shard: onlyShard }, { seq, newestFirst: false, limit });
    yield* withCheckpoints(rows, checkpoints, seq);
    seq += rows.length;
    if (rows.length < limit) break;
  }
  // Checkpoints beyond the last entry show that the tail was cut.
  yield* checkpoints.upTo(Number.MAX_SAFE_INTEGER);
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
  #page: CheckpointRow[] = [];
  #after = 0;
  #isOver = false;

  constructor(db: Reader) {
    this.#db = db;
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
      this.#page = await listCheckpoints(this.#db, { shard: onlyShard, after: this.#after, limit: checkpointsRead });
      this.#after = this.#page.at(-1)?.size ?? this.#after;
      this.#isOver = this.#page.length < checkpointsRead;
    }
    return this.#page[0];
  }
}
