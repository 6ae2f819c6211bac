import type { Schema } from './schema.ts';

/** The tables whose rows carry a MAC: they decide where tokens go, and who gets them. */
export type ProtectedTable =
  | 'grantry_providers'
  | 'grantry_apps'
  | 'grantry_api_keys'
  | 'grantry_connect_sessions'
  | 'grantry_authorizations'
  | 'grantry_audit_queue'
  | 'grantry_audit_heads'
  | 'grantry_audit_keys';

/** The way in which a column enters the MAC. An excluded column names the reason: a writer of the database may set it at will. */
export type ColumnRule = 'text' | 'number' | 'json' | { readonly excluded: string };

type Columns<T extends ProtectedTable> = { readonly [C in Exclude<keyof Schema[T], 'mac'>]: ColumnRule };

export interface TableRules {
  /** The columns that name a row, for log and doctor. */
  readonly key: readonly string[];
  readonly columns: Readonly<Record<string, ColumnRule>>;
}

function rules<T extends ProtectedTable>(key: readonly (keyof Schema[T] & string)[], columns: Columns<T>): TableRules {
  return { key, columns };
}

/**
 * Every column of every protected table. A column that is new here needs no new MACs as long as it is null in old rows:
 * the canonical form leaves nulls out.
 */
export const protectedTables: Readonly<Record<ProtectedTable, TableRules>> = {
  grantry_providers: rules<'grantry_providers'>(['id'], {
    id: 'text',
    definition: 'json',
    created_at: 'number',
    updated_at: 'number',
  }),
  grantry_apps: rules<'grantry_apps'>(['name'], {
    name: 'text',
    provider: 'text',
    client_id: 'text',
    client_secrets: 'json',
    dc: 'text',
    redirect_uri: 'text',
    scopes: 'json',
    tenants: 'json',
    return_to: 'json',
    scope_reasons: 'json',
    pkce: 'text',
    context: 'text',
    generation: 'number',
    created_at: 'number',
    updated_at: 'number',
  }),
  grantry_api_keys: rules<'grantry_api_keys'>(['id'], {
    id: 'text',
    name: 'text',
    role: 'text',
    key_hash: 'text',
    tenants: 'json',
    providers: 'json',
    created_at: 'number',
    expires_at: 'number',
    methods: 'json',
    paths: 'json',
    origins: 'json',
    parent: 'text',
    revision: 'number',
    last_used_at: { excluded: 'It is only shown. Servers write it in batches, for many keys at once.' },
    revoked_at: 'number',
  }),
  grantry_connect_sessions: rules<'grantry_connect_sessions'>(['tenant', 'id'], {
    tenant: 'text',
    id: 'text',
    token_hash: 'text',
    provider: 'text',
    account: 'text',
    app: 'text',
    scopes: 'json',
    adds: 'json',
    return_to: 'text',
    user_id: 'text',
    environment: 'text',
    expect_organization: 'text',
    browser_hash: 'text',
    completion_hash: 'text',
    pending: 'text',
    state: 'text',
    error: 'text',
    granted: 'json',
    starts: 'number',
    created_at: 'number',
    expires_at: 'number',
    completed_at: 'number',
  }),
  grantry_authorizations: rules<'grantry_authorizations'>(['tenant', 'state_hash'], {
    tenant: 'text',
    state_hash: 'text',
    provider: 'text',
    account: 'text',
    app: 'text',
    verifier: 'text',
    redirect_uri: 'text',
    scopes: 'json',
    dc: 'text',
    issuer: 'text',
    provider_hash: 'text',
    connect_session_id: 'text',
    enhances: 'json',
    environment: 'text',
    expect_organization: 'text',
    created_at: 'number',
    expires_at: 'number',
    used_at: 'number',
  }),
  grantry_audit_queue: rules<'grantry_audit_queue'>(['id'], {
    id: 'text',
    at: 'number',
    tenant: 'text',
    entry: 'text',
    details: 'text',
  }),
  grantry_audit_heads: rules<'grantry_audit_heads'>(['shard'], {
    shard: 'number',
    size: 'number',
    edges: 'text',
    updated_at: 'number',
  }),
  grantry_audit_keys: rules<'grantry_audit_keys'>(['shard', 'id'], {
    shard: 'number',
    id: 'text',
    algorithm: 'text',
    verifier: 'text',
    private_key: 'text',
    created_at: 'number',
    retired_at: 'number',
  }),
};

/** The tables that carried MACs first: an upgrade from 0.1.0 gives their rows the first ones. */
export const firstProtectedTables: readonly ProtectedTable[] = [
  'grantry_providers',
  'grantry_apps',
  'grantry_api_keys',
  'grantry_connect_sessions',
  'grantry_authorizations',
];

export const protectedTableNames: readonly ProtectedTable[] = [
  ...firstProtectedTables,
  'grantry_audit_queue',
  'grantry_audit_heads',
  'grantry_audit_keys',
];
