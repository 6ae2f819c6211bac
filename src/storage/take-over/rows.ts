import { sql } from 'kysely';
import { countRows, type Reader, type WriteTx } from '../database.ts';
import type { StoreKind } from '../engine/engine.ts';
import { type GrantRow, grantColumns } from '../statements/grants.ts';

export interface UnsealedPage {
  afterId: string | null;
  limit: number;
}

/**
 * Reads some rows of generation 0 after an id and locks them until the transaction ends. Rows that another process seals at
 * this moment are skipped.
 */
export async function lockUnsealed(tx: WriteTx, page: UnsealedPage): Promise<GrantRow[]> {
  return tx.locked(unsealed(tx, page), 'skip').execute();
}

/** Reads rows of generation 0 after an id, for a report. */
export async function listUnsealed(db: Reader, page: UnsealedPage): Promise<GrantRow[]> {
  return unsealed(db, page).execute();
}

/** Counts the rows that hold plaintext. */
export async function countUnsealed(db: Reader): Promise<number> {
  return db.selectFrom('oauth_tokens').where('generation', '=', 0).$call(countRows);
}

/** Lists the providers of the rows that hold plaintext. */
export async function providersOfUnsealed(db: Reader): Promise<string[]> {
  const rows = await db.selectFrom('oauth_tokens').select('provider').distinct().where('generation', '=', 0).execute();
  return rows.map((row) => row.provider);
}

/** Counts the rows. */
export async function countGrants(db: Reader): Promise<number> {
  return db.selectFrom('oauth_tokens').$call(countRows);
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
  const once = sql`generation = 1, authorized_generation = 1, changed_at = ${tx.changeMark}`;
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
  const query = db.selectFrom('oauth_tokens').select(grantColumns).where('generation', '=', 0);
  const rest = page.afterId === null ? query : query.where('id', '>', page.afterId);
  return rest.orderBy('id').limit(page.limit);
}
