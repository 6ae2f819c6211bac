/**
 * Returns an integer of a row, or an infinity of its sign if it is beyond 2^53. The vault writes no such number. If
 * another program wrote one, the statement still reads all other rows.
 */
export function safeInteger(value: number): number {
  return Number.isSafeInteger(value) ? value : Math.sign(value) * Number.POSITIVE_INFINITY;
}
