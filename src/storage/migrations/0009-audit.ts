/*
 * Frozen once released. The log of changes and hand-outs: entries wait in a queue, written with the change that they tell,
 * until one process puts them in order. From then on they are leaves of a Merkle tree, and no statement changes them.
 *
 * Every key begins with the shard, so that the log of a database that is split stays with its part.
 */
interface Words {
  /** The type of 8 bytes. */
  readonly long: string;
  /** The type of 4 bytes, for numbers that stay small: a log has millions of rows. */
  readonly int: string;
  readonly bytes: string;
  /** After a table whose rows are read by their key. */
  readonly byKey: string;
  readonly strict: string;
}

const entryTables = ({ long, int, bytes, byKey, strict }: Words): string => `
create table grantry_audit_queue (
  id text not null,
  at ${long} not null,
  tenant text not null,
  entry text not null,
  details text not null,
  mac text,
  constraint grantry_audit_queue_pkey primary key (id)
)${strict};
create index grantry_audit_queue_at on grantry_audit_queue (at, id);
create table grantry_audit_actors (
  shard ${int} not null,
  id ${int} not null,
  kind text not null,
  actor_id text not null,
  name text,
  source text not null,
  constraint grantry_audit_actors_pkey primary key (shard, id)
)${strict};
create index grantry_audit_actors_actor on grantry_audit_actors (actor_id);
create table grantry_audit_subjects (
  shard ${int} not null,
  id ${int} not null,
  tenant text,
  provider text,
  account text,
  constraint grantry_audit_subjects_pkey primary key (shard, id)
)${strict};
create index grantry_audit_subjects_tenant on grantry_audit_subjects (tenant, provider);
create table grantry_audit_entries (
  shard ${int} not null,
  generation ${int},
  seq ${long} not null,
  at ${long} not null,
  actor ${int} not null,
  subject ${int},
  count ${int},
  span ${int},
  action text not null,
  outcome text not null,
  code text,
  reason text,
  details_hash ${bytes},
  details ${bytes},
  constraint grantry_audit_entries_pkey primary key (shard, seq)
)${byKey};
create index grantry_audit_entries_subject on grantry_audit_entries (subject, seq)`;

const treeTables = ({ long, int, bytes, byKey, strict }: Words): string => `
create table grantry_audit_tiles (
  shard ${int} not null,
  level ${int} not null,
  tile ${int} not null,
  hashes ${bytes} not null,
  constraint grantry_audit_tiles_pkey primary key (shard, level, tile)
)${byKey};
create table grantry_audit_checkpoints (
  shard ${int} not null,
  size ${long} not null,
  at ${long} not null,
  note text not null,
  constraint grantry_audit_checkpoints_pkey primary key (shard, size)
)${strict};
create table grantry_audit_heads (
  shard ${int} not null,
  size ${long} not null,
  edges text not null,
  updated_at ${long} not null,
  mac text,
  constraint grantry_audit_heads_pkey primary key (shard)
)${strict};
create table grantry_audit_keys (
  shard ${int} not null,
  id text not null,
  algorithm text not null,
  verifier text not null,
  private_key text not null,
  created_at ${long} not null,
  retired_at ${long},
  mac text,
  constraint grantry_audit_keys_pkey primary key (shard, id)
)${strict}`;

const tables = (words: Words): string => `${entryTables(words)};${treeTables(words)}`;

/** Tables whose rows are never changed and never removed. */
const final = [
  'grantry_audit_actors',
  'grantry_audit_subjects',
  'grantry_audit_entries',
  'grantry_audit_tiles',
  'grantry_audit_checkpoints',
];

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
  sqlite: `${tables({ long: 'integer', int: 'integer', bytes: 'blob', byKey: ' strict, without rowid', strict: ' strict' })};
${sqliteTriggers}`,
  postgres: `${tables({ long: 'bigint', int: 'integer', bytes: 'bytea', byKey: '', strict: '' })};
create function grantry_audit_refuse() returns trigger language plpgsql as $$begin raise exception ${refusal}; end$$;
${postgresTriggers}`,
};
