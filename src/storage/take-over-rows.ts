import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { StoreKind } from './engine.ts';
import type { GrantRow } from './grants.ts';
import type { Schema } from './schema.ts';

/** A row that was taken over and still holds plaintext. */
export type UnsealedRow = Pick<
  GrantRow,
  | 'id'
  | 'client_id'
  | 'provider'
  | 'account'
  | 'access_token'
  | 'refresh_token'
  | 'token_expiry'
  | 'metadata'
  | 'state'
  | 'reason'
>;

const columns = [
  'id',
  'client_id',
  'provider',
  'account',
  'access_token',
  'refresh_token',
  'token_expiry',
  'metadata',
  'state',
  'reason',
] as const satisfies readonly (keyof UnsealedRow)[];

/**
 * Reads some rows of generation 0 behind an id, and keeps others from taking the same ones until the transaction ends:
 * PostgreSQL skips rows that another process seals just now, SQLite lets one process write at a time.
 */
export async function lockUnsealed(
  tx: Kysely<Schema>,
  kind: StoreKind,
  page: { afterId: string | null; limit: number },
): Promise<UnsealedRow[]> {
  let query = tx.selectFrom('oauth_tokens').select(columns).where('generation', '=', 0);
  if (page.afterId !== null) query = query.where('id', '>', page.afterId);
  query = query.orderBy('id').limit(page.limit);
  return (kind === 'postgres' ? query.forUpdate().skipLocked() : query).execute();
}

/** How many rows hold plaintext. */
export async function countUnsealed(db: Kysely<Schema>): Promise<number> {
  return count(db, 0);
}

/** The providers of the rows that hold plaintext. */
export async function providersOfUnsealed(db: Kysely<Schema>): Promise<string[]> {
  const rows = await db.selectFrom('oauth_tokens').select('provider').distinct().where('generation', '=', 0).execute();
  return rows.map((row) => row.provider);
}

/** How many rows there are. */
export async function countRows(db: Kysely<Schema>): Promise<number> {
  return count(db, undefined);
}

export interface SealedRow {
  id: string;
  client_id: string;
  access_token: string | null;
  refresh_token: string | null;
  refresh_fingerprint: string | null;
  metadata: string;
  due_at: number | null;
}

/** Puts sealed tokens in the place of plaintext, once: generation 0 becomes 1. Returns false when somebody else did. */
export async function sealRow(tx: Kysely<Schema>, now: RawBuilder<number>, row: SealedRow): Promise<boolean> {
  const { id, client_id, ...sealed } = row;
  const { numUpdatedRows } = await tx
    .updateTable('oauth_tokens')
    .set({ ...sealed, generation: 1, authorized_generation: 1, changed_at: now })
    .where('client_id', '=', client_id)
    .where('id', '=', id)
    .where('generation', '=', 0)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

async function count(db: Kysely<Schema>, generation: number | undefined): Promise<number> {
  const query = db.selectFrom('oauth_tokens').select(sql<number>`count(*)`.as('count'));
  const row = await (generation === undefined ? query : query.where('generation', '=', generation)).executeTakeFirst();
  return Number(row?.count ?? 0);
}
