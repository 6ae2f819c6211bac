import { sql } from 'kysely';
import { invalidRequest } from '../../base/errors.ts';
import type { Reader } from '../database.ts';
import type { StoreKind } from '../engine/engine.ts';

/** A unique index of another program, and the statement that drops it. */
export interface NarrowIndex {
  readonly name: string;
  readonly drop: string;
}

/** A store, as far as its catalogue is asked. */
interface Catalogue {
  readonly kind: StoreKind;
  readonly db: Reader;
}

interface IndexRow {
  readonly name: string;
  /** The names of its columns, separated by commas. */
  readonly columns: string;
  /** PostgreSQL: the qualified name. */
  readonly qualified: string;
  readonly is_constraint: number | boolean;
}

/**
 * Finds unique indexes of `oauth_tokens` that forbid a second account of a tenant at a provider. A take-over drops them, and
 * the start-up migration of the old program may put them back.
 */
export async function narrowIndexes({ kind, db }: Catalogue): Promise<readonly NarrowIndex[]> {
  const { rows } = await (kind === 'sqlite' ? sqliteIndexes : postgresIndexes).execute(db);
  return rows
    .filter(({ columns }) => columns !== '' && columns.split(',').every((name) => narrow.has(name)))
    .map(({ name, qualified, is_constraint: isConstraint }) => ({
      name,
      drop: isConstraint
        ? `ALTER TABLE oauth_tokens DROP CONSTRAINT ${quoted(name)};`
        : `DROP INDEX ${kind === 'sqlite' ? quoted(name) : qualified};`,
    }));
}

const narrow: ReadonlySet<string> = new Set(['client_id', 'provider']);

const sqliteIndexes = sql<IndexRow>`select each.name as name, each.name as qualified, 0 as is_constraint,
    group_concat(coalesce(part.name, '*')) as columns
  from pragma_index_list('oauth_tokens') as each, pragma_index_info(each.name) as part
  where each."unique" = 1 group by each.name order by each.name`;

const postgresIndexes = sql<IndexRow>`select name.relname as name, each.indexrelid::regclass::text as qualified,
    exists (select 1 from pg_constraint where conindid = each.indexrelid) as is_constraint,
    coalesce((select string_agg(coalesce(part.attname::text, '*'), ',')
      from unnest(each.indkey::int[]) as key(number)
      left join pg_attribute as part on part.attrelid = each.indrelid and part.attnum = key.number), '') as columns
  from pg_index as each join pg_class as name on name.oid = each.indexrelid
  where each.indrelid = to_regclass('oauth_tokens') and each.indisunique order by name.relname`;

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Says what a narrow index does, and how it goes away. */
export function narrowIndexText(found: readonly NarrowIndex[]): { readonly text: string; readonly action: string } {
  const names = found.map(({ name }) => name).join(', ');
  const action = `Take its creation out of the other program's migrations, then run: ${found.map(({ drop }) => drop).join(' ')}`;
  return {
    text: `The unique index ${names} on oauth_tokens allows a tenant only one account at a provider.`,
    action,
  };
}

/** Returns the error to throw for a failed transaction: the cause, if a narrow index refused a row. */
export async function withNarrowIndex(store: Catalogue, error: unknown): Promise<unknown> {
  const found = await narrowIndexes(store).catch(() => []);
  if (found.length === 0) return error;
  const { text, action } = narrowIndexText(found);
  return invalidRequest(text, { action, cause: error, reason: 'narrow_unique_index' });
}
