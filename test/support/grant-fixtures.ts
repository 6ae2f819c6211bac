import { randomUUID } from 'node:crypto';
import type { Insertable, Selectable } from 'kysely';
import type { GrantTable, Schema } from '../../src/storage/schema.ts';
import type { OpenedStore } from '../../src/storage/store.ts';

export function grantRow(values: Partial<Selectable<GrantTable>> = {}): Selectable<GrantTable> {
  return {
    id: randomUUID(),
    client_id: 'acme',
    provider: 'zoho_crm',
    account: 'default',
    access_token: 'gry1.access',
    refresh_token: 'gry1.refresh',
    token_type: 'Bearer',
    token_expiry: '2026-01-02T03:04:05.678Z',
    scopes: 'ZohoCRM.modules.ALL,ZohoCRM.settings.READ',
    metadata: '{"dc":"eu"}',
    created_at: '2025-12-31T23:59:59.999Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    app: 'crm',
    state: 'active',
    reason: null,
    generation: 1,
    authorized_generation: 1,
    obtained_at: 1_767_322_000_000,
    last_refreshed_at: null,
    changed_at: 1_767_322_000_001,
    refresh_fingerprint: 'fingerprint',
    doubt_since: null,
    retry_at: null,
    overlap_until: null,
    lease_owner: null,
    lease_until: null,
    lease_fence: 0,
    condemned_at: null,
    used_at: null,
    due_at: null,
    consented_at: null,
    consent_user: null,
    ...values,
  };
}

export async function insertGrantRow(store: OpenedStore, values: Partial<Selectable<GrantTable>> = {}) {
  const row = grantRow(values);
  const insertable: Insertable<Schema['oauth_tokens']> = row;
  await store.db.insertInto('oauth_tokens').values(insertable).execute();
  return row;
}
