import { clean } from './output.ts';

/** Formats rows under headings; each column is as wide as its widest cell, and the last is not padded. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [headings, ...rows].map((row) => row.map((cell) => clean(cell).replaceAll('\n', ' ')));
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ''))));
  return lines.map((line) =>
    line
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd(),
  );
}

/** Formats names and values, one pair per line, with aligned values. */
export function fields(pairs: readonly (readonly [string, string])[]): string[] {
  const longest = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(longest)}  ${clean(value)}`.trimEnd());
}

/** Counts characters, not UTF-16 units. Wide scripts may still shift a column. */
function width(text: string): number {
  return Array.from(text).length;
}
