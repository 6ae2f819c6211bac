import { sql } from 'kysely';
import type { Reader } from '../database.ts';
import type { DroppedPart } from './table.ts';

/*
 * Questions to PostgreSQL's catalogue about a table that another program made, and about an empty one of ours beside it.
 */

const theTable = sql`to_regclass('oauth_tokens')`;

/** A part of the schema that its definition makes again. */
export interface NamedDefinition {
  name: string;
  definition: string;
}

export interface CatalogueColumn {
  name: string;
  type: string;
  required: boolean;
  /** The default, as an expression. */
  preset: string | null;
  identity: boolean;
  computed: boolean;
}

export interface ViewDefinition extends NamedDefinition {
  kind: string;
}

export async function foreignColumns(db: Reader): Promise<CatalogueColumn[]> {
  return templateColumns(db, 'oauth_tokens');
}

export async function templateColumns(db: Reader, table: string): Promise<CatalogueColumn[]> {
  const { rows } = await sql<CatalogueColumn>`select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
      a.attnotnull as required, a.attidentity <> '' as identity, a.attgenerated <> '' as computed,
      pg_get_expr(d.adbin, d.adrelid) as preset
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = to_regclass(${table}) and a.attnum > 0 and not a.attisdropped order by a.attnum`.execute(db);
  return rows;
}

/** The checks of our empty table, without its name in front. */
export async function templateChecks(db: Reader, table: string): Promise<NamedDefinition[]> {
  const { rows } = await sql<NamedDefinition>`select conname as name, pg_get_constraintdef(oid) as definition
    from pg_constraint where conrelid = to_regclass(${table}) and contype = 'c' order by conname`.execute(db);
  return rows;
}

/** Triggers and rules that another program put on the table. */
export async function foreignTriggers(db: Reader): Promise<DroppedPart[]> {
  const { rows } = await sql<DroppedPart>`
    select 'trigger' as kind, tgname as name, pg_get_triggerdef(oid) as definition
      from pg_trigger where tgrelid = ${theTable} and not tgisinternal
    union all
    select 'rule', rulename, pg_get_ruledef(oid) from pg_rewrite where ev_class = ${theTable} and rulename <> '_RETURN'
    order by 2`.execute(db);
  return rows;
}

export async function ownConstraints(db: Reader): Promise<(DroppedPart & { type: string })[]> {
  const { rows } = await sql<DroppedPart & { type: string }>`
    select case contype when 'f' then 'foreign key' else 'constraint' end as kind, contype as type, conname as name,
      pg_get_constraintdef(oid) as definition
    from pg_constraint where conrelid = ${theTable} and contype in ('p', 'u', 'c', 'x', 'f') order by conname`.execute(
    db,
  );
  return rows;
}

/** Indexes that belong to no constraint. */
export async function foreignIndexes(db: Reader): Promise<(DroppedPart & { qualified: string })[]> {
  const { rows } = await sql<DroppedPart & { qualified: string }>`
    select 'index' as kind, c.relname as name, i.indexrelid::regclass::text as qualified,
      pg_get_indexdef(i.indexrelid) as definition
    from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = ${theTable}
      and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = i.indrelid)
    order by c.relname`.execute(db);
  return rows;
}

/** The foreign keys of other tables that point at this one, as statements that make them again. */
export async function pointingKeys(db: Reader): Promise<NamedDefinition[]> {
  const { rows } = await sql<NamedDefinition>`select conname as name,
      format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as definition
    from pg_constraint where confrelid = ${theTable} and contype = 'f' and conrelid <> confrelid
      and conparentid = 0 order by conname`.execute(db);
  return rows;
}

/** Views over the table and over each other, in the order in which they can be made. */
export async function viewsOver(db: Reader): Promise<ViewDefinition[]> {
  const { rows } = await sql<ViewDefinition>`
    with recursive users(oid, depth) as (
      select r.ev_class, 1 from pg_depend d join pg_rewrite r on r.oid = d.objid
        where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = ${theTable}
          and r.ev_class <> ${theTable}
      union
      select r.ev_class, u.depth + 1 from users u join pg_depend d on d.refobjid = u.oid
        join pg_rewrite r on r.oid = d.objid
        where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and r.ev_class <> u.oid)
    select c.oid::regclass::text as name, c.relkind as kind, pg_get_viewdef(c.oid) as definition
    from (select oid, max(depth) as depth from users group by oid) u join pg_class c on c.oid = u.oid
    order by u.depth, 1`.execute(db);
  return rows;
}

/** Lists the reasons why the table cannot be taken over as it is. */
export async function foreignRefusals(db: Reader): Promise<string[]> {
  const { rows } = await sql<{ kind: string; forced: boolean; children: boolean; owner: boolean }>`
    select relkind as kind, relforcerowsecurity as forced, pg_has_role(relowner, 'usage') as owner,
      exists (select 1 from pg_inherits where inhparent = c.oid or inhrelid = c.oid) as children
    from pg_class c where oid = ${theTable}`.execute(db);
  const table = rows[0];
  if (table === undefined || table.kind !== 'r') return ['it is not a plain table'];
  const refusals: string[] = [];
  if (table.children) refusals.push('it inherits from another table, or another from it');
  if (table.forced) refusals.push('row-level security is forced on it and may hide rows; lift that first');
  if (!table.owner) refusals.push('this role does not own it; connect as its owner');
  for (const { name, computed } of await foreignColumns(db)) {
    if (computed) refusals.push(`its column ${name} is computed by the database; drop that column`);
  }
  for (const { name, kind } of await viewsOver(db)) {
    if (kind !== 'v') refusals.push(`the materialized view ${name} may hold copies of its tokens; drop that first`);
  }
  return refusals;
}
