/** Returns the name that differs least from a mistyped one, or null when none is close. */
export function closestName(typed: string, names: Iterable<string>): string | null {
  const most = Math.max(1, Math.floor(typed.length / 3));
  const ranked = [...names]
    .map((name) => ({ name, distance: distance(typed.toLowerCase(), name.toLowerCase()) }))
    .filter((candidate) => candidate.distance <= most)
    .toSorted((one, other) => one.distance - other.distance);
  return ranked[0]?.name ?? null;
}

/** The Levenshtein distance: how many characters must be added, removed or replaced. */
function distance(one: string, other: string): number {
  let above = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const same = one[row - 1] === other[column - 1] ? 0 : 1;
      const [left = 0, up = 0, corner = 0] = [current[column - 1], above[column], above[column - 1]];
      current.push(Math.min(left + 1, up + 1, corner + same));
    }
    above = current;
  }
  return above[other.length] ?? 0;
}
