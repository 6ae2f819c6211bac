import type { ChangeMark } from '../../storage/store.ts';

/**
 * Says how far back each poll of the change feed must read.
 *
 * A transaction marks its changes while it runs, and others see them when it is committed. In between lies any time: a
 * synchronous standby may be away, a disk may stall. A window of fixed length misses such a change for ever.
 *
 * So each poll also asks which transactions are in progress. Once one of them has ended, the next poll reads back to before
 * that transaction was first seen. Transactions that no poll saw began and ended between two polls. See
 * docs/decisions/0012-the-change-feed-follows-transactions.md.
 */
export class ChangeWindow {
  #readUntil = 0;
  /** The transactions in progress, each with a mark that precedes its changes; null where none is known. */
  #open = new Map<string, number | null>();

  /**
   * Returns the mark from which on changes must be read, for a mark that was read just now: 0 at the start, and once a
   * transaction has ended that was in progress then. Null if marks tell nothing, after the clock of the database was set back.
   */
  since({ at, open }: ChangeMark): number | null {
    const now = new Set(open);
    const ended = [...this.#open].filter(([id]) => !now.has(id)).map(([, began]) => began);
    return [this.#from(at), ...ended].reduce(earlier);
  }

  /** Moves on to a mark, once the changes before it are read. */
  advance({ at, open }: ChangeMark): void {
    const from = this.#from(at);
    // A clock that was set back may also give an earlier mark to what was seen before.
    const began = (id: string) => (this.#open.has(id) ? (this.#open.get(id) ?? null) : from);
    this.#open = new Map(open.map((id) => [id, from === null ? null : began(id)]));
    this.#readUntil = at;
  }

  #from(at: number): number | null {
    return at < this.#readUntil ? null : this.#readUntil;
  }
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.min(one, other);
}
