import { sql } from 'kysely';
import type { Reader } from '../database.ts';
import { type SentRequests, sentRequests } from './token-requests.ts';

/** A refresh token of a provider that sent requests lately. */
export interface BusyToken extends SentRequests {
  readonly provider: string;
}

/** Lists refresh tokens of grants that were asked for since `sinceMs` ago, each once, of all tenants. Reads by indexes. */
export async function busyTokens(db: Reader, { sinceMs, limit }: { sinceMs: number; limit: number }) {
  const rows = await db
    .selectFrom('grantry_token_requests')
    .innerJoin('oauth_tokens', 'oauth_tokens.refresh_fingerprint', 'grantry_token_requests.fingerprint')
    .select(['oauth_tokens.provider', 'grantry_token_requests.fingerprint', 'grantry_token_requests.requests'])
    .select(db.now.as('now'))
    // As a subquery the clock is read once, and the index can serve.
    .where('grantry_token_requests.last_at', '>', sql<number>`(select ${db.now} - ${sinceMs})`)
    .limit(limit)
    .execute();
  const tokens = new Map<string, BusyToken>();
  for (const { provider, fingerprint, ...row } of rows) tokens.set(fingerprint, { provider, ...sentRequests(row) });
  return [...tokens.values()];
}

/** Names the provider of each user of whom an operator was warned: the provider keeps few refresh tokens per user. */
export async function fillingProviders(db: Reader, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('grantry_slot_warnings')
    .innerJoin('grantry_apps', 'grantry_apps.client_id', 'grantry_slot_warnings.registration')
    // Zoho's products are providers of their own, and share the places of a registration.
    .select(({ fn }) => fn.min('grantry_apps.provider').as('provider'))
    .groupBy(['grantry_slot_warnings.registration', 'grantry_slot_warnings.dc', 'grantry_slot_warnings.consent_user'])
    .limit(limit)
    .execute();
  return rows.map(({ provider }) => provider);
}
