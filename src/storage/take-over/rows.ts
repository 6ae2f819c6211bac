import { sql } from 'kysely';
import type { Reader, WriteTx } from '../database.ts';
import type { StoreKind } from '../engine/engine.ts';
import type { GrantRow } from '../statements/grants.ts';

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
] as const satisfies readonly (keyof GrantRow)[];

/** A row that was taken over and still holds plaintext. */
export type UnsealedRow = Pick<GrantRow, (typeof columns)[number]>;

export interface UnsealedPage {
  afterId: string | null;
  limit: number;
}

/**
 * Reads some rows of generation 0 after an id and locks them until the transaction ends. Rows that another process seals at
 * this moment are skipped.
 */
export async function lockUnsealed(tx: WriteTx, page: UnsealedPage): Promise<UnsealedRow[]> {
  return tx.locked(unsealed(tx, page), 'skip').execute();
}

/** Reads rows of generation 0 after an id, for a report. */
export async function listUnsealed(db: Reader, page: UnsealedPage): Promise<UnsealedRow[]> {
  return unsealed(db, page).execute();
}

/** Counts the rows that hold plaintext. */
export async function countUnsealed(db: Reader): Promise<number> {
  return count(db, 0);
}

/** Lists the providers of the rows that hold plaintext. */
export async function providersOfUnsealed(db: Reader): Promise<string[]> {
  const rows = await db.selectFrom('oauth_tokens').select('provider').distinct().where('generation', '=', 0).execute();
  return rows.map((row) => row.provider);
}

/** Counts the rows. */
export async function countRows(db: Reader): Promise<number> {
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

/** Replaces plaintext by sealed tokens, once: generation 0 becomes 1. Returns how many rows it sealed. */
export async function sealRows(tx: WriteTx, kind: StoreKind, rows: readonly SealedRow[]): Promise<number> {
  const json = JSON.stringify(rows);
  const once = sql`generation = 1, authorized_generation = 1, changed_at = ${tx.now}`;
  const statement =
    kind === 'postgres'
      ? sql`update oauth_tokens as t set access_token = v.access_token, refresh_token = v.refresh_token,
          refresh_fingerprint = v.refresh_fingerprint, metadata = v.metadata::jsonb, due_at = v.due_at, ${once}
        from jsonb_to_recordset(${json}::jsonb) as v(id uuid, client_id text, access_token text, refresh_token text,
          refresh_fingerprint text, metadata text, due_at bigint)
        where t.client_id = v.client_id and t.id = v.id and t.generation = 0`
      : sql`update oauth_tokens set access_token = v.value ->> 'access_token', refresh_token = v.value ->> 'refresh_token',
          refresh_fingerprint = v.value ->> 'refresh_fingerprint', metadata = v.value ->> 'metadata',
          due_at = v.value ->> 'due_at', ${once}
        from json_each(${json}) as v
        where oauth_tokens.client_id = v.value ->> 'client_id' and oauth_tokens.id = v.value ->> 'id'
          and oauth_tokens.generation = 0`;
  const { numAffectedRows } = await statement.execute(tx);
  return Number(numAffectedRows ?? 0);
}

function unsealed(db: Reader, page: UnsealedPage) {
  const query = db.selectFrom('oauth_tokens').select(columns).where('generation', '=', 0);
  const rest = page.afterId === null ? query : query.where('id', '>', page.afterId);
  return rest.orderBy('id').limit(page.limit);
}

async function count(db: Reader, generation: number | undefined): Promise<number> {
  const query = db.selectFrom('oauth_tokens').select(sql<number>`count(*)`.as('count'));
  const row = await (generation === undefined ? query : query.where('generation', '=', generation)).executeTakeFirst();
  return row?.count ?? 0;
}
