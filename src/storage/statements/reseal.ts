import { sql } from 'kysely';
import type { Reader, WriteTx } from '../database.ts';
import type { StoreKind } from '../engine/engine.ts';
import type { GrantRow } from './grants.ts';

/** A step through a table in the order of its ids. */
export interface Page {
  readonly afterId: string | null;
  readonly limit: number;
}

/**
 * Keeps writers from the tables with sealed values until the transaction ends: none changes a row between its reading and its
 * new seal. Readers go on. On SQLite a transaction is the only writer anyway.
 */
export async function lockSealedTables(tx: WriteTx, kind: StoreKind): Promise<void> {
  if (kind === 'sqlite') return;
  await sql`lock table oauth_tokens, grantry_candidates, grantry_revocations, grantry_connect_sessions, grantry_apps
    in share row exclusive mode`.execute(tx);
}

/** The columns that the seals of a grant's tokens bind. The upgrade of 0.1.0 reads it before later migrations add columns. */
const sealColumns = [
  'client_id',
  'id',
  'provider',
  'account',
  'app',
  'metadata',
  'generation',
  'access_token',
  'refresh_token',
] as const satisfies readonly (keyof GrantRow)[];

export type SealedGrant = Pick<GrantRow, (typeof sealColumns)[number]>;

/** Reads grants whose tokens are sealed. */
export async function sealedGrants(db: Reader, { afterId, limit }: Page): Promise<SealedGrant[]> {
  return db
    .selectFrom('oauth_tokens')
    .select(sealColumns)
    .where('generation', '>', 0)
    .where((column) => column.or([column('access_token', 'is not', null), column('refresh_token', 'is not', null)]))
    .$if(afterId !== null, (query) => query.where('id', '>', afterId ?? ''))
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Replaces the seals of grants' tokens, and nothing else. */
export async function replaceGrantSeals(
  tx: WriteTx,
  kind: StoreKind,
  rows: readonly Pick<GrantRow, 'client_id' | 'id' | 'access_token' | 'refresh_token'>[],
): Promise<void> {
  const json = JSON.stringify(rows);
  const statement =
    kind === 'postgres'
      ? sql`update oauth_tokens as t set access_token = v.access_token, refresh_token = v.refresh_token
        from jsonb_to_recordset(${json}::jsonb) as v(id uuid, client_id text, access_token text, refresh_token text)
        where t.client_id = v.client_id and t.id = v.id`
      : sql`update oauth_tokens set access_token = v.value ->> 'access_token', refresh_token = v.value ->> 'refresh_token'
        from json_each(${json}) as v
        where oauth_tokens.client_id = v.value ->> 'client_id' and oauth_tokens.id = v.value ->> 'id'`;
  await statement.execute(tx);
}

/** Reads candidates, each with the columns of its grant that its seal binds. */
export async function sealedCandidates(db: Reader, { afterId, limit }: Page) {
  return db
    .selectFrom('grantry_candidates')
    .innerJoin('oauth_tokens', (join) =>
      join
        .onRef('oauth_tokens.client_id', '=', 'grantry_candidates.tenant')
        .onRef('oauth_tokens.id', '=', 'grantry_candidates.grant_id'),
    )
    .select([
      'grantry_candidates.tenant',
      'grantry_candidates.id',
      'grantry_candidates.generation',
      'grantry_candidates.tokens',
      'oauth_tokens.provider',
      'oauth_tokens.account',
      'oauth_tokens.app',
      'oauth_tokens.metadata',
    ])
    .$if(afterId !== null, (query) => query.where('grantry_candidates.id', '>', afterId ?? ''))
    .orderBy('grantry_candidates.id')
    .limit(limit)
    .execute();
}

/** Reads revocations that wait. */
export async function sealedRevocations(db: Reader, { afterId, limit }: Page) {
  return db
    .selectFrom('grantry_revocations')
    .select(['tenant', 'id', 'provider', 'account', 'app', 'dc', 'token'])
    .$if(afterId !== null, (query) => query.where('id', '>', afterId ?? ''))
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Reads connect sessions whose tokens wait for the completion code. */
export async function sealedSessions(db: Reader, { afterId, limit }: Page) {
  return db
    .selectFrom('grantry_connect_sessions')
    .select(['tenant', 'id', 'provider', 'account', 'app', 'pending'])
    .where('pending', 'is not', null)
    .$if(afterId !== null, (query) => query.where('id', '>', afterId ?? ''))
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Reads apps with what the seals of their secrets bind. `id` is the name. */
export async function sealedApps(db: Reader, { afterId, limit }: Page) {
  return db
    .selectFrom('grantry_apps')
    .select(['name as id', 'name', 'provider', 'client_id', 'generation', 'client_secrets'])
    .$if(afterId !== null, (query) => query.where('name', '>', afterId ?? ''))
    .orderBy('name')
    .limit(limit)
    .execute();
}

/** A table in which each row has one sealed value. */
export type SealedTable = keyof typeof columns;

const columns = {
  grantry_candidates: 'tokens',
  grantry_revocations: 'token',
  grantry_connect_sessions: 'pending',
} as const;

/** Replaces the seal of a candidate, a revocation or a connect session. */
export async function replaceSeal(
  tx: WriteTx,
  table: SealedTable,
  { tenant, id, sealed }: { tenant: string; id: string; sealed: string },
): Promise<void> {
  await sql`update ${sql.table(table)} set ${sql.ref(columns[table])} = ${sealed}
    where tenant = ${tenant} and id = ${id}`.execute(tx);
}

/** Replaces the seals of an app's secrets. Its MAC has to be computed after this. */
export async function replaceSecrets(tx: WriteTx, name: string, clientSecrets: string): Promise<void> {
  await tx.updateTable('grantry_apps').set({ client_secrets: clientSecrets }).where('name', '=', name).execute();
}
