import type { Selectable } from 'kysely';
import type { AuditActorTable, AuditEntryTable, AuditSubjectTable } from '../../audit-schema.ts';
import type { Reader, WriteTx } from '../../database.ts';

export type NewEntryRow = Selectable<AuditEntryTable>;
export type ActorRow = Selectable<AuditActorTable>;
export type SubjectRow = Selectable<AuditSubjectTable>;

/** An entry with its actor and its subject. */
export type AuditEntryRow = NewEntryRow & {
  /** Null for a change of the installation. */
  readonly tenant: string | null;
  readonly provider: string | null;
  readonly account: string | null;
  readonly actor_kind: string;
  readonly actor_id: string;
  readonly actor_name: string | null;
  readonly source: string;
};

const table = 'grantry_audit_entries';

/** Rows of one statement: a database limits the values that it binds. */
const rowsMax = 100;

/** Gives entries their place for good. */
export async function insertEntries(tx: WriteTx, rows: readonly NewEntryRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += rowsMax) {
    await tx
      .insertInto(table)
      .values(rows.slice(from, from + rowsMax))
      .execute();
  }
}

/** Which entries a caller wants. What is left out is not limited. */
export interface EntryFilter {
  readonly shard: number;
  readonly tenant?: string | undefined;
  readonly provider?: string | undefined;
  readonly account?: string | undefined;
  readonly actions?: readonly string[] | undefined;
  readonly actor?: string | undefined;
  /** Milliseconds since 1970: from, and before. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** Entries after a place, oldest first; or, with `newestFirst`, before it. */
export async function listEntries(
  db: Reader,
  filter: EntryFilter,
  page: { readonly seq: number; readonly newestFirst: boolean; readonly limit: number },
): Promise<AuditEntryRow[]> {
  const { shard, tenant, provider, account, actions, actor, since, until } = filter;
  let query = db
    .selectFrom(table)
    .innerJoin('grantry_audit_actors as who', (join) =>
      join.onRef('who.shard', '=', `${table}.shard`).onRef('who.id', '=', `${table}.actor`),
    )
    .leftJoin('grantry_audit_subjects as whom', (join) =>
      join.onRef('whom.shard', '=', `${table}.shard`).onRef('whom.id', '=', `${table}.subject`),
    )
    .selectAll(table)
    .select(['who.kind as actor_kind', 'who.actor_id', 'who.name as actor_name', 'who.source'])
    .select(['whom.tenant', 'whom.provider', 'whom.account'])
    .where(`${table}.shard`, '=', shard);
  query = page.newestFirst
    ? query.where('seq', '<', page.seq).orderBy('seq', 'desc')
    : query.where('seq', '>=', page.seq).orderBy('seq');
  if (tenant !== undefined) query = query.where('whom.tenant', '=', tenant);
  if (provider !== undefined) query = query.where('whom.provider', '=', provider);
  if (account !== undefined) query = query.where('whom.account', '=', account);
  if (actions !== undefined && actions.length > 0) query = query.where('action', 'in', actions);
  if (actor !== undefined) query = query.where('who.actor_id', '=', actor);
  if (since !== undefined) query = query.where('at', '>=', since);
  if (until !== undefined) query = query.where('at', '<', until);
  return query.limit(page.limit).execute();
}

/** The rows of actors with some ids, for those who look for their own. */
export async function findActors(
  db: Reader,
  shard: number,
  { actorIds, sources }: { readonly actorIds: readonly string[]; readonly sources: readonly string[] },
): Promise<ActorRow[]> {
  if (actorIds.length === 0) return [];
  return db
    .selectFrom('grantry_audit_actors')
    .selectAll()
    .where('shard', '=', shard)
    .where('actor_id', 'in', actorIds)
    .where('source', 'in', sources)
    .execute();
}

/**
 * The subjects with some accounts of some tenants, and those that lack either, for those who look for their own. A tenant may
 * have a hundred thousand accounts, of which a caller names few.
 */
export async function findSubjects(
  db: Reader,
  shard: number,
  { tenants, accounts }: { readonly tenants: readonly string[]; readonly accounts: readonly string[] },
): Promise<SubjectRow[]> {
  const named = db
    .selectFrom('grantry_audit_subjects')
    .selectAll()
    .where('shard', '=', shard)
    .where((eb) =>
      eb.or([eb('account', 'is', null), ...(accounts.length === 0 ? [] : [eb('account', 'in', accounts)])]),
    );
  const none = await named.where('tenant', 'is', null).execute();
  if (tenants.length === 0) return none;
  return [...none, ...(await named.where('tenant', 'in', tenants).execute())];
}

/** The next free number of an actor or a subject. The caller has locked the head of the tree. */
export async function nextNumber(
  tx: WriteTx,
  numbered: 'grantry_audit_actors' | 'grantry_audit_subjects',
  shard: number,
): Promise<number> {
  const found = await tx
    .selectFrom(numbered)
    .select(({ fn }) => fn.max('id').as('id'))
    .where('shard', '=', shard)
    .executeTakeFirst();
  return (found?.id ?? 0) + 1;
}

/** Keeps new actors. */
export async function insertActors(tx: WriteTx, actors: readonly ActorRow[]): Promise<void> {
  if (actors.length > 0)
    await tx
      .insertInto('grantry_audit_actors')
      .values([...actors])
      .execute();
}

/** Keeps new subjects. */
export async function insertSubjects(tx: WriteTx, subjects: readonly SubjectRow[]): Promise<void> {
  if (subjects.length > 0)
    await tx
      .insertInto('grantry_audit_subjects')
      .values([...subjects])
      .execute();
}

/** Entries from a place on, without their actors and subjects: a check of the whole log reads millions. */
export async function readEntries(
  db: Reader,
  { shard, from, limit }: { shard: number; from: number; limit: number },
): Promise<NewEntryRow[]> {
  return db
    .selectFrom(table)
    .selectAll()
    .where('shard', '=', shard)
    .where('seq', '>=', from)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

/** Actors by their numbers. */
export async function actorsNumbered(db: Reader, shard: number, ids: readonly number[]): Promise<ActorRow[]> {
  if (ids.length === 0) return [];
  return db.selectFrom('grantry_audit_actors').selectAll().where('shard', '=', shard).where('id', 'in', ids).execute();
}

/** Subjects by their numbers. */
export async function subjectsNumbered(db: Reader, shard: number, ids: readonly number[]): Promise<SubjectRow[]> {
  if (ids.length === 0) return [];
  return db
    .selectFrom('grantry_audit_subjects')
    .selectAll()
    .where('shard', '=', shard)
    .where('id', 'in', ids)
    .execute();
}
