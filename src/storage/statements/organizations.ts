import { type RawBuilder, sql } from 'kysely';
import type { Reader } from '../database.ts';
import type { StoreKind } from '../store.ts';

/** The most grants that a report of one organisation names. */
const namedMax = 20;

/**
 * A person may have given the id as a number. In SQLite the metadata is a text, and in a table that was taken over it may be no
 * JSON: such a row is in no organisation.
 */
const orgId: Readonly<Record<StoreKind, RawBuilder<string | null>>> = {
  sqlite: sql`(case when json_valid(metadata) then cast(metadata ->> 'org_id' as text) end)`,
  postgres: sql`(metadata ->> 'org_id')`,
};

/**
 * Finds living grants of other tenants at a provider that are in an organisation. It looks at all tenants: two of them in
 * one organisation is what it searches for. Without an index it reads the grants of the provider, once per connect and per
 * health check: an index on an expression is one that Drizzle's kit cannot describe.
 */
export async function grantsInOrganization(
  { db, kind }: { readonly db: Reader; readonly kind: StoreKind },
  { tenant, provider, organization }: { tenant: string; provider: string; organization: string },
): Promise<{ tenant: string; provider: string; account: string }[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(['client_id as tenant', 'provider', 'account'])
    .where('provider', '=', provider)
    .where(orgId[kind], '=', organization)
    .where('client_id', '!=', tenant)
    .where('state', '!=', 'disconnected')
    .orderBy('client_id')
    .orderBy('account')
    .limit(namedMax)
    .execute();
}
