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

/** The characters of an id that PostgreSQL's index holds. */
const indexedMax = 64;

/** The condition that the index answers: in PostgreSQL, the organisation begins with the same characters. */
const indexed: Readonly<Record<StoreKind, (organization: string) => RawBuilder<boolean>>> = {
  sqlite: (organization) => sql`${orgId.sqlite} = ${organization}`,
  postgres: (organization) =>
    sql`left(metadata ->> 'org_id', ${sql.lit(indexedMax)}) = left(${organization}, ${sql.lit(indexedMax)})`,
};

/**
 * Finds living grants of other tenants at a provider that are in an organisation. It looks at all tenants: two of them in
 * one organisation is what it searches for.
 */
export async function grantsInOrganization(
  { db, kind }: { readonly db: Reader; readonly kind: StoreKind },
  { tenant, provider, organization }: { tenant: string; provider: string; organization: string },
): Promise<{ tenant: string; provider: string; account: string }[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(['client_id as tenant', 'provider', 'account'])
    .where('provider', '=', provider)
    .where(indexed[kind](organization))
    .where(orgId[kind], '=', organization)
    .where('client_id', '!=', tenant)
    .where('state', '!=', 'disconnected')
    .orderBy('client_id')
    .orderBy('account')
    .limit(namedMax)
    .execute();
}
