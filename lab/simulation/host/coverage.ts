/** Begins the name of what the judge let pass. */
export const excusedMark = 'excused: ';

/** Counts what really happened: a fault that never strikes proves nothing. */
export class Coverage {
  readonly counts = new Map<string, number>();

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  add(other: Iterable<readonly [string, number]>): void {
    for (const [what, times] of other) this.count(what, times);
  }
}

/** For people: in the order of the alphabet. */
export function byName(counts: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...counts].sort(([one], [other]) => one.localeCompare(other));
}
