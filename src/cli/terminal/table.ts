import type { CheckedKey } from '../../base/ids.ts';
import { clean, type Output } from './output.ts';

/** Headings, and the cell of an item below each. */
type Columns<Item> = Readonly<Record<string, (item: Item) => string>>;

/** The mark of a stored row that was altered outside of Grantry: a list shows its name and nothing else. */
export const alteredRow = 'ALTERED';

export const keyColumns: Columns<CheckedKey> = {
  TENANT: ({ tenant }) => tenant,
  PROVIDER: ({ provider }) => provider,
  ACCOUNT: ({ account }) => account,
};

/** Prints items under headings; each column is as wide as its widest cell, and the last is not padded. */
export function printTable<Item>(output: Output, items: readonly Item[], columns: Columns<Item>): void {
  const rows = items.map((item) => Object.values(columns).map((cellOf) => cellOf(item)));
  const lines = [Object.keys(columns), ...rows].map((row) => row.map((cell) => clean(cell).replaceAll('\n', ' ')));
  const widths = Object.keys(columns).map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? ''))));
  for (const line of lines) {
    const padded = line.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)));
    output.print(padded.join('  ').trimEnd());
  }
}

export function printFields(output: Output, pairs: readonly (readonly [string, string])[]): void {
  for (const line of fields(pairs)) output.print(line);
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
