import type { Selectable } from 'kysely';
import { type Reader, type WriteTx } from '../database.ts';
import type { GrantScopesTable, ScopeUse } from '../schema.ts';

const table = 'grantry_grant_scopes';

/** The facts about a grant's scopes beside those that it has. */
export interface GrantScopes {
  /** The scopes that were asked for; empty when unknown. */
  readonly asked: readonly string[];
  /** Added scopes that no answer of the provider has named yet. The grant has them from its next refresh on. */
  readonly assumed: readonly string[];
  readonly uses: readonly ScopeUse[];
}

interface Grant {
  readonly tenant: string;
  readonly grantId: string;
}

const nothing: GrantScopes = { asked: [], assumed: [], uses: [] };

/** Reads what is known of several grants, by their ids. */
export async function readGrantScopes(db: Reader, grants: readonly Grant[]): Promise<Map<string, GrantScopes>> {
  if (grants.length === 0) return new Map();
  const rows = await db
    .selectFrom(table)
    .selectAll()
    .where('tenant', 'in', [...new Set(grants.map(({ tenant }) => tenant))])
    .where(
      'grant_id',
      'in',
      grants.map(({ grantId }) => grantId),
    )
    .execute();
  return new Map(rows.map((row) => [row.grant_id, parsed(row)]));
}

/** Reads and locks what is known of one grant. */
async function lockScopes(tx: WriteTx, { tenant, grantId }: Grant): Promise<GrantScopes | undefined> {
  const query = tx.selectFrom(table).selectAll().where('tenant', '=', tenant).where('grant_id', '=', grantId);
  const row = await tx.locked(query).executeTakeFirst();
  return row === undefined ? undefined : parsed(row);
}

/** Changes what is known of one grant, whose row exists. */
export async function changeGrantScopes(
  tx: WriteTx,
  grant: Grant,
  change: (known: GrantScopes) => GrantScopes,
): Promise<void> {
  const { tenant, grantId: grant_id } = grant;
  // The row comes first, so that two writers of a new one take turns at it.
  await tx
    .insertInto(table)
    .values({ tenant, grant_id, ...written(nothing), noted_at: tx.now })
    .onConflict((conflict) => conflict.columns(['tenant', 'grant_id']).doNothing())
    .execute();
  const known = (await lockScopes(tx, grant)) ?? nothing;
  await tx
    .updateTable(table)
    .set({ ...written(change(known)), noted_at: tx.now })
    .where('tenant', '=', tenant)
    .where('grant_id', '=', grant_id)
    .execute();
}

/** Lists the added scopes of a grant that no answer of the provider has named yet. */
export async function assumedScopes(db: Reader, { tenant, grantId }: Grant): Promise<readonly string[]> {
  const row = await db
    .selectFrom(table)
    .select('assumed')
    .where('tenant', '=', tenant)
    .where('grant_id', '=', grantId)
    .executeTakeFirst();
  return row === undefined ? [] : listIn(row.assumed);
}

/**
 * Notes that an answer of the provider has named the grant's scopes.
 *
 * @param counted the assumed scopes of which the answer tells; null for all
 */
export async function confirmScopes(
  tx: WriteTx,
  { tenant, grantId }: Grant,
  counted: readonly string[] | null,
): Promise<void> {
  if (counted?.length === 0) return;
  const known = counted === null ? [] : ((await lockScopes(tx, { tenant, grantId }))?.assumed ?? []);
  await tx
    .updateTable(table)
    .set({ assumed: JSON.stringify(known.filter((scope) => counted?.includes(scope) !== true)) })
    .where('tenant', '=', tenant)
    .where('grant_id', '=', grantId)
    .execute();
}

function written({ asked, assumed, uses }: GrantScopes) {
  return { asked: JSON.stringify(asked), assumed: JSON.stringify(assumed), uses: JSON.stringify(uses) };
}

function parsed({ asked, assumed, uses }: Selectable<GrantScopesTable>): GrantScopes {
  return { asked: listIn(asked), assumed: listIn(assumed), uses: listIn(uses) };
}

/** The rows say nothing about where tokens go, so another program may have written anything. */
function listIn<Item>(json: string): Item[] {
  try {
    const value: unknown = JSON.parse(json);
    // Only this file writes these columns, and they are only shown.
    return Array.isArray(value) ? (value as Item[]) : [];
  } catch {
    return [];
  }
}
