import { sql } from 'kysely';
import type { Reader } from '../database.ts';

/**
 * Counts the refresh tokens of an app's grants, by the account that the provider named at their consent; null for grants
 * whose provider named none.
 */
export async function countTokensByAccount(
  db: Reader,
  app: string,
): Promise<{ account: string | null; tokens: number }[]> {
  const account = sql<string | null>`grantry_events.details ->> 'account'`;
  const rows = await db
    .selectFrom('oauth_tokens')
    .leftJoin('grantry_events', (join) =>
      join
        .onRef('grantry_events.tenant', '=', 'oauth_tokens.client_id')
        .onRef('grantry_events.grant_id', '=', 'oauth_tokens.id')
        .onRef('grantry_events.generation', '=', 'oauth_tokens.authorized_generation')
        .on('grantry_events.type', '=', 'grant.connected'),
    )
    .select((column) => [
      account.as('account'),
      column.fn.count<number | string>('oauth_tokens.refresh_fingerprint').distinct().as('tokens'),
    ])
    .where('oauth_tokens.app', '=', app)
    .where('oauth_tokens.state', '!=', 'disconnected')
    .groupBy(account)
    .execute();
  return rows.map((row) => ({ account: row.account, tokens: Number(row.tokens) }));
}
