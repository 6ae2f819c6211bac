import { sql } from 'kysely';
import type { Store } from '../../src/storage/store.ts';

/** Dumps everything in a database's schema that a migration can change, as text that is equal on every machine. */
export async function dumpSchema(store: Store): Promise<string> {
  const lines = store.kind === 'sqlite' ? await sqliteLines(store) : await postgresLines(store);
  return `${lines.join('\n')}\n`;
}

async function sqliteLines(store: Store): Promise<string[]> {
  const { rows } = await sql<{ sql: string }>`
    select sql from sqlite_schema where sql is not null and name not like 'sqlite_%'
    order by tbl_name, case type when 'table' then 0 else 1 end, name`.execute(store.db);
  return rows.map((row) => `${row.sql};`);
}

async function postgresLines(store: Store): Promise<string[]> {
  const { rows } = await sql<{ line: string }>`
    select line from (
      select table_name as name, 0 as rank, ordinal_position::int as place,
        format('%s.%s %s%s%s%s', table_name, column_name, data_type,
          case when is_nullable = 'NO' then ' not null' else '' end,
          coalesce(' default ' || column_default, ''),
          case when is_identity = 'YES' then ' generated ' || lower(identity_generation) || ' as identity' else '' end
        ) as line
      from information_schema.columns where table_schema = current_schema()
      union all
      select conrelid::regclass::text, 1, 0, format('%s: %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = current_schema()::regnamespace and contype <> 'n'
      union all
      select tablename, 2, 0, replace(indexdef, current_schema() || '.', '')
      from pg_indexes where schemaname = current_schema()
      union all
      select tgrelid::regclass::text, 3, 0, replace(pg_get_triggerdef(pg_trigger.oid), current_schema() || '.', '')
      from pg_trigger join pg_class on pg_class.oid = tgrelid
      where relnamespace = current_schema()::regnamespace and not tgisinternal
      union all
      select proname, 4, 0, replace(pg_get_functiondef(oid), current_schema() || '.', '')
      from pg_proc where pronamespace = current_schema()::regnamespace
    ) as everything
    order by name collate "C", rank, place, line collate "C"`.execute(store.db);
  return rows.map((row) => row.line);
}
