import { canonicalRow, rowName } from '../../src/storage/canonical-row.ts';
import { type ProtectedTable, protectedTableNames } from '../../src/storage/protected-tables.ts';
import type { Row } from './attacker.ts';
import type { Mutation } from './mutations.ts';
import { aboutOf, type Round } from './round.ts';
import { isCommon } from './use.ts';

/** Each altered row of a protected table that is still there must be named. */
export async function expectNamed(round: Round): Promise<void> {
  const { place, report, made } = round;
  if (!made.some(({ table }) => isProtected(table)) || made.some(isCommon)) return;
  const names = new Set(await place.altered());
  for (const [index, { table, kind, after, before }] of made.entries()) {
    if (after === null || !isProtected(table)) continue;
    const isThere = (await place.attacker.rows(table)).some((row) => isSame(row, after));
    if (!isThere) continue;
    if (kind === 'old value put back') report.rolledBack += 1;
    else if (names.has(rowName(table, after))) report.named += 1;
    else if (!isHarmless(table, originOf(before, made.slice(0, index)), after)) {
      report.findings.add(`${rowName(table, after)} is not named after ${aboutOf(round)}`);
    }
  }
}

/** The row as it was before the round: a second change may have undone the first. */
function originOf(row: Row | null, earlier: readonly Mutation[]): Row | null {
  const made = row === null ? undefined : earlier.findLast(({ after }) => after !== null && isSame(row, after));
  return made === undefined ? row : originOf(made.before, earlier.slice(0, earlier.indexOf(made)));
}

function isProtected(table: string): table is ProtectedTable {
  return protectedTableNames.some((name) => name === table);
}

/** True if the MAC of a row cannot tell the difference: the column is excluded, or the value is the same. */
function isHarmless(table: ProtectedTable, before: Row | null, after: Row): boolean {
  if (before === null) return false;
  const form = (row: Row): string =>
    JSON.stringify(
      canonicalRow(table, Object.fromEntries(Object.entries(row).map(([name, value]) => [name, numbered(value)]))),
    );
  return before['mac'] === after['mac'] && form(before) === form(after);
}

function numbered(value: string | bigint | null): string | number | null {
  return typeof value === 'bigint' ? Number(value) : value;
}

function isSame(one: Row, other: Row): boolean {
  return Object.keys(one).every((name) => String(one[name]) === String(other[name]));
}
