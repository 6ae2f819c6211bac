/** The name for what happened to the first bad entry, from the numbers around it. */

/**
 * Kinds of damage. `stored_hash`: the entry is as signed, and its stored hash is not. `root`: some entry from `seq` on
 * differs, and no stored hash tells which.
 */
export type FindingKind =
  | 'edited'
  | 'deleted'
  | 'inserted'
  | 'swapped'
  | 'renumbered'
  | 'tail_cut'
  | 'stored_hash'
  | 'root';

/** The first entry that is not as expected. All numbers are positions: the first entry of the log has 0. */
export interface Suspect {
  /** The place at which it was met, which is the number that it should have. */
  readonly position: number;
  /** The number that it has; `undefined` if it has none that can be read. */
  readonly number: number | undefined;
  /** The numbers of the two entries after it, as far as there are any. */
  readonly next: readonly (number | undefined)[];
  /** True if the entry is the one that belongs at the place of its number, or if those two changed places. */
  readonly isMoved: boolean;
}

/**
 * Names the damage. One change is named exactly; of several changes the first place is exact, and its name is the likeliest.
 *
 * `entries` is how many entries were met, `size` how many were signed.
 */
export function kindOf(suspect: Suspect, entries: number, size: number): FindingKind {
  const { position, number, next, isMoved } = suspect;
  const isLast = next.length === 0;
  if (isLast && entries > size) return 'inserted';
  if (number === undefined || number === position) return next[0] === position ? 'inserted' : 'edited';
  if (next[0] === position) {
    // Two neighbours that changed places, or a foreign entry before the right one.
    const changedPlaces = number === position + 1 && next[1] !== number && entries <= size;
    return changedPlaces ? 'swapped' : 'inserted';
  }
  if (next[0] === position + 1) return isMoved ? 'swapped' : 'renumbered';
  if (number < position || (isLast && entries === size)) return 'renumbered';
  return 'deleted';
}
