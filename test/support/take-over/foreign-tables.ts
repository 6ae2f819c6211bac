import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';

/** Runs statements on a database as its earlier program would. */
export async function runForeign(database: string, statements: readonly string[]): Promise<void> {
  if (database.startsWith('sqlite:')) {
    const db = new DatabaseSync(database.slice('sqlite:'.length));
    for (const statement of statements) db.exec(statement);
    db.close();
    return;
  }
  const client = new Client({ connectionString: database });
  client.on('error', () => {});
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Queries a database as any program could. */
export async function askForeign(database: string, query: string): Promise<Record<string, unknown>[]> {
  if (database.startsWith('sqlite:')) {
    const db = new DatabaseSync(database.slice('sqlite:'.length), { readOnly: true });
    try {
      return db.prepare(query).all();
    } finally {
      db.close();
    }
  }
  const client = new Client({ connectionString: database });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(query)).rows;
  } finally {
    await client.end();
  }
}

/** Mark in every secret of these tests, so that a search of the raw files finds remaining plaintext. */
export const canary = 'CANARYplaintext';

/** The table in its usual form. */
export const plainTable = {
  sqlite: `create table oauth_tokens (id text primary key, client_id text not null, provider text not null,
    access_token text not null, refresh_token text, token_expiry text, scopes text, metadata text,
    created_at text, updated_at text, unique (client_id, provider))`,
  postgres: `create table oauth_tokens (id uuid primary key default gen_random_uuid(), client_id text not null,
    provider text not null, access_token text not null, refresh_token text, token_expiry timestamptz, scopes text,
    metadata jsonb default '{}', created_at timestamptz default now(), updated_at timestamptz default now(),
    unique (client_id, provider))`,
} as const;

/** Inserts many plain rows with one statement. */
export function plainRows(kind: 'sqlite' | 'postgres', count: number): string {
  const series =
    kind === 'sqlite'
      ? `with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${count}) `
      : `with n as (select generate_series(0, ${count - 1}) as i) `;
  const hex = kind === 'sqlite' ? `printf('%012x', i)` : `lpad(to_hex(i), 12, '0')`;
  const uuid = `'00000000-0000-4000-8000-' || ${hex}`;
  return `insert into oauth_tokens (id, client_id, provider, access_token, refresh_token, token_expiry, scopes, metadata,
      created_at, updated_at)
    ${series} select ${kind === 'sqlite' ? uuid : `(${uuid})::uuid`}, 'tenant-' || i, 'zoho_crm',
      '1000.${canary}access' || i, '1000.${canary}refresh' || i, '2099-01-01 00:00:00+00', 'a.READ,b.ALL',
      '{"dc":"com","api_domain":"https://www.zohoapis.com"}', '2024-01-01 00:00:00+00', '2024-01-02 00:00:00+00' from n`;
}
