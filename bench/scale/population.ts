import { type RawBuilder, sql } from 'kysely';

import type { Vault } from '../../src/index.ts';
import type { StoreKind } from '../../src/storage/engine/engine.ts';
import type { OpenedStore } from '../../src/storage/store.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { type SeedGrant, seedGrants } from '../seed.ts';

export const provider = 'zoho_crm';
const accountsPerTenant = 10;
const day = 86_400_000;
const rowsPerStatement = 100_000;

/** Stored grants, ten per tenant; tenants at regular distances have tokens that open. */
export interface Population {
  readonly grants: number;
  readonly sealed: number;
  /** Number of sealed grants that have a refresh token too. */
  readonly refreshable: number;
  /** Number of grants that are due now, at any population. */
  readonly due: number;
  /** Number of grants that changed a moment ago. */
  readonly changed: number;
}

export interface Place {
  readonly tenant: string;
  readonly account: string;
}

/** Returns the place of the n-th sealed grant. */
export function sealedPlace(population: Population, index: number): Place {
  const every = Math.floor(population.grants / population.sealed);
  const tenant = Math.floor(index / accountsPerTenant) * every;
  return { tenant: `tenant-${tenant}`, account: `account-${index % accountsPerTenant}` };
}

/** Fills an empty vault; `rootKey` names the key it was opened with. */
export async function populate(vault: Vault, rootKey: string, population: Population): Promise<void> {
  // The vault hands its store out as one that only reads.
  const store = internalsOf(vault).open().store as OpenedStore;
  await vault.apps.put('bench', { provider, clientId: 'bench', clientSecret: 'bench-secret', dc: 'eu' });
  if (store.kind === 'sqlite') await sql`pragma cache_size = -400000`.execute(store.db);
  await seedGrants(vault, { rootKey, app: 'bench', grants: sealedGrants(population) });
  await insertPlaceholders(store, population);
  await insertHistory(store);
  await markChanged(store, population);
  // Statistics that a database gathers by itself in the course of a day.
  if (store.kind === 'postgres') await store.unhurried(() => sql`vacuum analyze`.execute(store.db));
  else await sql`pragma wal_checkpoint(truncate)`.execute(store.db);
}

function* sealedGrants(population: Population): Generator<SeedGrant> {
  const now = Date.now();
  const dueEvery = Math.max(1, Math.floor(population.sealed / population.due));
  const refreshEvery = Math.max(1, Math.floor(population.sealed / population.refreshable));
  for (let index = 0; index < population.sealed; index += 1) {
    const { tenant, account } = sealedPlace(population, index);
    yield {
      tenant,
      provider,
      account,
      accessToken: `1000.${String(index).padStart(32, '0')}.${'a'.repeat(32)}`,
      refreshToken: index % refreshEvery === 0 ? `1000.${String(index).padStart(32, '0')}.${'r'.repeat(32)}` : null,
      expiresAtMs: now + day,
      dueAtMs: index % dueEvery === 0 ? now - day + index : now + day + index,
    };
  }
}

/** Inserts the other rows with one statement; their sealed columns hold fillers. */
async function insertPlaceholders(store: OpenedStore, population: Population): Promise<void> {
  const every = Math.floor(population.grants / population.sealed);
  if (every === 1) return;
  const { uuid, time } = dialect(store.kind);
  const now = Date.now();
  const sealedLook = sql.lit(`gry1.${'A'.repeat(214)}`);
  for (let first = 0; first < population.grants; first += rowsPerStatement) {
    const last = Math.min(population.grants, first + rowsPerStatement) - 1;
    await store.unhurried(() =>
      sql`
        insert into oauth_tokens (id, client_id, provider, account, access_token, refresh_token, token_expiry, scopes,
          metadata, created_at, updated_at, app, state, reason, generation, authorized_generation, token_type, obtained_at,
          last_refreshed_at, changed_at, refresh_fingerprint, lease_fence, used_at, due_at)
        with recursive n (i) as (select ${sql.lit(first)} union all select i + 1 from n where i < ${sql.lit(last)})
        select ${uuid}, 'tenant-' || (i / ${sql.lit(accountsPerTenant)}), ${sql.lit(provider)},
          'account-' || (i % ${sql.lit(accountsPerTenant)}), ${sealedLook}, ${sealedLook},
          ${time(now + day)}, 'ZohoCRM.modules.ALL', '{}', ${time(now)}, ${time(now)}, 'bench',
          case when i % 1000 < 990 then 'active' when i % 1000 < 999 then 'disconnected' else 'suspect' end,
          null, 7, 1, 'Bearer', ${sql.lit(now)}, ${sql.lit(now)}, ${sql.lit(now - day)} - i, 'fingerprint-' || i, 6, ${sql.lit(now)},
          case when i % 1000 < 990 then ${sql.lit(now + day)} + i end
        from n where (i / ${sql.lit(accountsPerTenant)}) % ${sql.lit(every)} <> 0`.execute(store.db),
    );
    process.stderr.write(`\r  stored grants: ${(last + 1).toLocaleString('en')}`);
  }
  process.stderr.write('\r                                        \r');
}

/** Inserts an attempt, an event and a counted request for each grant, as a refresh leaves them. */
async function insertHistory(store: OpenedStore): Promise<void> {
  const { uuid } = dialect(store.kind);
  const now = sql.lit(Date.now() - day);
  const requests = store.kind === 'postgres' ? sql`'[]'::jsonb` : sql`'[]'`;
  await store.unhurried(async () => {
    await sql`
      insert into grantry_attempts (id, tenant, grant_id, fence, generation, token_fingerprint, owner, started_at,
        finished_at, outcome)
      select ${uuid}, client_id, id, 1, generation - 1, coalesce(refresh_fingerprint, client_id), 'owner', ${now}, ${now}, 'saved' from oauth_tokens
    `.execute(store.db);
    await sql`
      insert into grantry_events (id, at, tenant, grant_id, provider, account, type, from_state, to_state, generation, details)
      select ${uuid}, ${now}, client_id, id, provider, account, 'grant.refreshed', 'active', 'active', generation, '{}' from oauth_tokens
    `.execute(store.db);
    await sql`
      insert into grantry_token_requests (fingerprint, requests, last_at)
      select distinct token_fingerprint, ${requests}, started_at from grantry_attempts`.execute(store.db);
  });
}

async function markChanged(store: OpenedStore, population: Population): Promise<void> {
  const { sealed, changed } = population;
  const places = Array.from({ length: changed }, (_, index) =>
    sealedPlace(population, Math.floor((index * sealed) / changed)),
  );
  await store.transaction(async (tx) => {
    for (const { tenant, account } of places) {
      await tx
        .updateTable('oauth_tokens')
        .set({ changed_at: tx.now })
        .where('client_id', '=', tenant)
        .where('provider', '=', provider)
        .where('account', '=', account)
        .execute();
    }
  });
}

function dialect(kind: StoreKind): { uuid: RawBuilder<string>; time: (ms: number) => RawBuilder<string> } {
  if (kind === 'postgres') {
    return {
      uuid: sql`gen_random_uuid()`,
      time: (ms) => sql`cast(${sql.lit(new Date(ms).toISOString())} as timestamptz)`,
    };
  }
  return {
    uuid: sql`lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' ||
      substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))`,
    time: (ms) => sql`${sql.lit(new Date(ms).toISOString())}`,
  };
}
