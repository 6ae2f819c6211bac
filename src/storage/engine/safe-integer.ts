/**
 * Returns an integer of a row, or an infinity of its sign if it is beyond 2^53. The vault writes no such number. A row of
 * somebody else must not make the statement fail that also reads the rows of others.
 */
export function safeInteger(value: number): number {
  return Number.isSafeInteger(value) ? value : Math.sign(value) * Number.POSITIVE_INFINITY;
}
