import type { Dice } from '../dice.ts';
import type { Attacker, Row } from './attacker.ts';
import { randomValue } from './values.ts';

/** A change that the attacker made: a row before and after it. */
export interface Mutation {
  readonly table: string;
  readonly kind: 'value' | 'move' | 'copy' | 'swap' | 'insert' | 'delete' | 'old value put back';
  readonly column: string | null;
  readonly before: Row | null;
  readonly after: Row | null;
}

/** Half of the changes are of what decides where secrets go, and who gets them. */
const worth = [
  'oauth_tokens',
  'grantry_apps',
  'grantry_providers',
  'grantry_api_keys',
  'grantry_connect_sessions',
  'grantry_candidates',
  'grantry_revocations',
] as const;
const worthColumns = new Set([
  'provider',
  'client_id',
  'app',
  'account',
  'tenant',
  'metadata',
  'definition',
  'tenants',
  'role',
  'key_hash',
  'refresh_token',
  'access_token',
  'token',
  'grant_id',
  'token_hash',
]);

/** Makes one change at random. Returns null when the database refuses it. */
export async function mutate(
  attacker: Attacker,
  dice: Dice,
  old: ReadonlyMap<string, readonly Row[]>,
): Promise<Mutation | null> {
  const table = dice.chance(0.7) ? dice.pick(worth) : dice.pick(await attacker.tables());
  if (table === undefined) return null;
  const rows = await attacker.rows(table);
  const row = dice.pick(rows);
  if (row === undefined) return null;
  const draft = await drafted(attacker, dice, { table, row, rows, old: old.get(table) ?? [] });
  if (draft === null) return null;
  const mutation = { table, ...draft };
  return (await attacker.replace(table, mutation.before, mutation.after)) ? mutation : null;
}

/** Puts the row back that was there, if it can be. */
export async function undo(attacker: Attacker, { table, before, after }: Mutation): Promise<void> {
  if (await attacker.replace(table, after, before)) return;
  // The vault has written a row of this key meanwhile.
  await attacker.replace(table, after, null);
}

async function drafted(
  attacker: Attacker,
  dice: Dice,
  from: { table: string; row: Row; rows: readonly Row[]; old: readonly Row[] },
): Promise<Omit<Mutation, 'table'> | null> {
  const { table, row, rows, old } = from;
  const columns = await attacker.columns(table);
  const important = columns.filter(({ name }) => worthColumns.has(name));
  const column = important.length > 0 && dice.chance(0.5) ? dice.pick(important) : dice.pick(columns);
  if (column === undefined) return null;
  const value = randomValue(dice, column, row, rows);
  const changed = { ...row, [column.name]: value };
  switch (dice.below(10)) {
    case 0:
      return { kind: 'delete', column: null, before: row, after: null };
    case 1: {
      const id = `copy-${dice.below(1_000_000)}`;
      const unique = { id, name: id, key_hash: id, context: id, state_hash: id, version: 77n };
      const after = { ...row, ...Object.fromEntries(Object.entries(unique).filter(([name]) => name in row)) };
      return { kind: 'copy', column: null, before: null, after };
    }
    case 2: {
      // A value of another row, and often its MAC with it.
      const other = dice.pick(rows) ?? row;
      const after = {
        ...row,
        [column.name]: other[column.name] ?? null,
        ...(dice.chance(0.5) && 'mac' in row ? { mac: other['mac'] ?? null } : {}),
      };
      return { kind: 'swap', column: column.name, before: row, after };
    }
    case 3: {
      const values = columns.map((each) => [each.name, randomValue(dice, each, row, rows)] as const);
      return { kind: 'insert', column: null, before: null, after: Object.fromEntries(values) };
    }
    case 4: {
      const earlier = dice.pick(old);
      const key = Object.keys(row)[0] ?? '';
      const now = rows.find((each) => earlier !== undefined && each[key] === earlier[key]);
      return earlier === undefined
        ? null
        : { kind: 'old value put back', column: null, before: now ?? null, after: earlier };
    }
    case 5:
    case 6: {
      // To another provider, with the app of that provider, and out of the way of a grant that is there.
      const other = dice.pick(rows) ?? row;
      const place = {
        provider: other['provider'] ?? null,
        app: other['app'] ?? null,
        account: `moved-${dice.below(1_000)}`,
      };
      const after = { ...row, ...Object.fromEntries(Object.entries(place).filter(([name]) => name in row)) };
      return { kind: 'move', column: null, before: row, after };
    }
    default:
      return value === row[column.name] ? null : { kind: 'value', column: column.name, before: row, after: changed };
  }
}
