import type { Dice } from '../dice.ts';
import { aimed } from './aims.ts';
import type { Attacker, Row } from './attacker.ts';
import { randomValue } from './values.ts';

/** A change that the attacker made: a row before and after it. */
export interface Mutation {
  readonly table: string;
  readonly kind:
    | 'value'
    | 'aim'
    | 'move'
    | 'copy'
    | 'swap'
    | 'insert'
    | 'delete'
    | 'old value put back'
    | 'value of 0.1.0 put back';
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
  'grantry_authorizations',
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

/** The attacker's means: older copies of the tables, and the tables that interest it most. */
export interface Means {
  readonly old: ReadonlyMap<string, readonly Row[]>;
  /** The same token as 0.1.0 has sealed it, as in a backup from before the upgrade. */
  readonly sealedBy010: (row: Row) => Promise<Row | null>;
  readonly tables: readonly string[];
}

/** Makes one change at random. Returns null when the database refuses it. */
export async function mutate(attacker: Attacker, dice: Dice, means: Means): Promise<Mutation | null> {
  const preferred = means.tables.length > 0 ? means.tables : worth;
  const table = dice.chance(0.7) ? dice.pick(preferred) : dice.pick(await attacker.tables());
  if (table === undefined) return null;
  const rows = await attacker.rows(table);
  // The newest rows, in which a flow may be under way, half of the time.
  const row = dice.pick(dice.chance(0.5) ? rows.toSorted(byAge).slice(dice.chance(0.5) ? -1 : -4) : rows);
  if (row === undefined) return null;
  const draft =
    table === 'oauth_tokens' && dice.chance(0.15)
      ? await broughtBack(dice, { row, rows, means })
      : dice.chance(0.4)
        ? aimedAt(dice, { table, row, rows })
        : await drafted(attacker, dice, { table, row, rows, old: means.old.get(table) ?? [] });
  if (draft === null) return null;
  const mutation = { table, ...draft };
  return (await attacker.replace(table, mutation.before, mutation.after)) ? mutation : null;
}

/**
 * Puts the row back that was there, by its key. A grant that the vault has refreshed meanwhile stays as it is: its old row
 * would be a token that is spent.
 */
export async function putBack(
  attacker: Attacker,
  { table, before, after }: Mutation,
): Promise<'put back' | 'replaced' | 'refused'> {
  const key = await attacker.key(table);
  const rows = await attacker.rows(table);
  const isOf = (row: Row | null) => (other: Row) => row !== null && key.every((name) => row[name] === other[name]);
  for (const now of rows.filter((row) => isOf(after)(row) || isOf(before)(row))) {
    if (table === 'oauth_tokens' && before !== null && now['generation'] !== after?.['generation']) return 'replaced';
    if (!(await attacker.replace(table, now, null))) return 'refused';
  }
  return before === null || (await attacker.replace(table, null, before)) ? 'put back' : 'refused';
}

function byAge(one: Row, other: Row): number {
  const [first, second] = [one, other].map((row) => Number(row['created_at'] ?? 0));
  return (first ?? 0) - (second ?? 0);
}

function aimedAt(
  dice: Dice,
  { table, row, rows }: { table: string; row: Row; rows: readonly Row[] },
): Omit<Mutation, 'table'> | null {
  // A code is redeemed at the provider that its authorization names.
  const after =
    table === 'grantry_authorizations' && dice.chance(0.7) ? elsewhere(dice, row, rows) : aimed(dice, table, row);
  return after === null ? null : { kind: 'aim', column: null, before: row, after };
}

/** Takes the value of a backup, and often points the row elsewhere. */
async function broughtBack(
  dice: Dice,
  { row, rows, means }: { row: Row; rows: readonly Row[]; means: Means },
): Promise<Omit<Mutation, 'table'> | null> {
  const sealed = await means.sealedBy010(row);
  if (sealed === null) return null;
  const after = dice.chance(0.7) ? elsewhere(dice, sealed, rows) : sealed;
  return { kind: 'value of 0.1.0 put back', column: null, before: row, after };
}

/** The members of a row that lead to a provider. */
const ways = ['provider', 'app', 'provider_hash', 'issuer', 'dc'] as const;

/** Points a row to another provider, with the app of that provider. A grant gets out of the way of one that is there. */
function elsewhere(dice: Dice, row: Row, rows: readonly Row[]): Row {
  const other = dice.pick(rows.filter((each) => each['provider'] !== row['provider'])) ?? row;
  const way = ways.filter((name) => name in row).map((name) => [name, other[name] ?? null] as const);
  const account = 'generation' in row ? { account: `moved-${dice.below(1_000)}` } : {};
  return { ...row, ...Object.fromEntries(way), ...('account' in row ? account : {}) };
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
    case 6:
      return { kind: 'move', column: null, before: row, after: elsewhere(dice, row, rows) };
    default:
      return value === row[column.name] ? null : { kind: 'value', column: column.name, before: row, after: changed };
  }
}
