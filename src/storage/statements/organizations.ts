import { type RawBuilder, sql } from 'kysely';
import type { Reader } from '../database.ts';
import type { StoreKind } from '../store.ts';

/** The most grants that a report of one organisation names. */
const namedMax = 20;

/**
 * The same expressions as in the index. A person may have given the id as a number. In SQLite the metadata is a text, and in a
 * table that was taken over it may be no JSON: such a row is in no organisation.
 */
const orgId: Readonly<Record<StoreKind, RawBuilder<string | null>>> = {
  sqlite: sql`(case when json_valid(metadata) then cast(json_extract(metadata, '$.org_id') as text) end)`,
  postgres: sql`(metadata ->> 'org_id')`,
};

/** The id that the API told, where the grant's own is another: chosen by a person, or another id of the same organisation. */
const toldId: Readonly<Record<StoreKind, RawBuilder<string | null>>> = {
  sqlite: sql`(case when json_valid(metadata) then cast(json_extract(metadata, '$.org_told_id') as text) end)`,
  postgres: sql`(metadata ->> 'org_told_id')`,
};

/** The characters of an id that PostgreSQL's index holds. */
const indexedMax = 64;

/** The condition that the index answers: in PostgreSQL, the organisation begins with the same characters. */
const indexed: Readonly<Record<StoreKind, (ids: readonly string[]) => RawBuilder<boolean>>> = {
  sqlite: (ids) => sql`${orgId.sqlite} in (${sql.join(ids)})`,
  postgres: (ids) =>
    sql`left(metadata ->> 'org_id', ${sql.lit(indexedMax)}) in (${sql.join(ids.map((id) => Array.from(id).slice(0, indexedMax).join('')))})`,
};

/**
 * Finds living grants of other tenants that are in an organisation. It looks at all tenants: two of them in one organisation
 * is what it searches for. A grant that the API has told to be in another organisation is not in this one.
 *
 * @param of.providers those whose ids of organisations are of the same kind
 * @param of.ids the ids of the organisation, all of which mean the same
 */
export async function grantsInOrganization(
  { db, kind }: { readonly db: Reader; readonly kind: StoreKind },
  { tenant, providers, ids }: { tenant: string; providers: readonly string[]; ids: readonly string[] },
): Promise<{ tenant: string; provider: string; account: string }[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(['client_id as tenant', 'provider', 'account'])
    .where('provider', 'in', providers)
    .where(indexed[kind](ids))
    .where(sql<string>`coalesce(${toldId[kind]}, ${orgId[kind]})`, 'in', ids)
    .where('client_id', '!=', tenant)
    .where('state', '!=', 'disconnected')
    .orderBy('client_id')
    .orderBy('provider')
    .orderBy('account')
    .limit(namedMax)
    .execute();
}
