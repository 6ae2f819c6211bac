/*
 * Frozen once released. The log of changes and hand-outs: entries wait in a queue, written with the change that they tell,
 * until one process puts them in order. From then on they are leaves of a Merkle tree, and no statement changes them.
 *
 * Every key begins with the shard, so that the log of a database that is split stays with its part.
 */
const tables = (integer: string, strict: string): string => `
create table grantry_audit_queue (
  id text not null,
  at ${integer} not null,
  tenant text not null,
  entry text not null,
  details text not null,
  mac text,
  constraint grantry_audit_queue_pkey primary key (id)
)${strict};
create table grantry_audit_entries (
  shard ${integer} not null,
  seq ${integer} not null,
  at ${integer} not null,
  tenant text,
  provider text,
  account text,
  generation ${integer},
  action text not null,
  actor_kind text not null,
  actor_id text not null,
  actor_name text,
  source text not null,
  outcome text not null,
  code text,
  reason text,
  count ${integer},
  first_at ${integer},
  last_at ${integer},
  details_hash text,
  details text,
  constraint grantry_audit_entries_pkey primary key (shard, seq)
)${strict};
create index grantry_audit_entries_grant on grantry_audit_entries (tenant, provider, seq) where tenant is not null;
create table grantry_audit_tiles (
  shard ${integer} not null,
  level ${integer} not null,
  tile ${integer} not null,
  hashes text not null,
  constraint grantry_audit_tiles_pkey primary key (shard, level, tile)
)${strict};
create table grantry_audit_checkpoints (
  shard ${integer} not null,
  size ${integer} not null,
  at ${integer} not null,
  note text not null,
  constraint grantry_audit_checkpoints_pkey primary key (shard, size)
)${strict};
create table grantry_audit_heads (
  shard ${integer} not null,
  size ${integer} not null,
  edges text not null,
  updated_at ${integer} not null,
  mac text,
  constraint grantry_audit_heads_pkey primary key (shard)
)${strict};
create table grantry_audit_keys (
  shard ${integer} not null,
  id text not null,
  algorithm text not null,
  verifier text not null,
  private_key text not null,
  created_at ${integer} not null,
  retired_at ${integer},
  mac text,
  constraint grantry_audit_keys_pkey primary key (shard, id)
)${strict}`;

/** What was put in order is never changed and never removed. */
const final = ['grantry_audit_entries', 'grantry_audit_tiles', 'grantry_audit_checkpoints'];

const refusal = "'entries of the audit log are never changed'";

const sqliteTriggers = final
  .flatMap((table) =>
    ['update', 'delete'].map(
      (verb) => `create trigger ${table}_${verb} before ${verb} on ${table} begin select raise(abort, ${refusal}); end`,
    ),
  )
  .join(';\n');

const postgresTriggers = final
  .map(
    (table) =>
      `create trigger ${table}_final before update or delete or truncate on ${table} for each statement execute function grantry_audit_refuse()`,
  )
  .join(';\n');

export const audit = {
  sqlite: `${tables('integer', ' strict')};
${sqliteTriggers}`,
  postgres: `${tables('bigint', '')};
create function grantry_audit_refuse() returns trigger language plpgsql as $$begin raise exception ${refusal}; end$$;
${postgresTriggers}`,
};
