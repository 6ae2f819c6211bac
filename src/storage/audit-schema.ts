import type { MarkedTable } from './marked-table.ts';

/** An entry of the audit log that waits for its place. */
export interface AuditQueueTable extends MarkedTable {
  id: string;
  at: number;
  tenant: string;
  /** JSON object without the details. */
  entry: string;
  /** JSON object; it is sealed when the entry gets its place. */
  details: string;
}

/** An entry of the audit log in its place. Every column but `details` is in its leaf. */
export interface AuditEntryTable {
  shard: number;
  seq: number;
  at: number;
  /** The id in the table of subjects; null for an entry about none. */
  subject: number | null;
  generation: number | null;
  action: string;
  /** The id in the table of actors. */
  actor: number;
  outcome: string;
  code: string | null;
  reason: string | null;
  /** Number of equal events that the entry tells, and the milliseconds between the first and `at`. */
  count: number | null;
  span: number | null;
  /** SHA-256 of the details and their salt. */
  details_hash: Uint8Array | null;
  /** The details and their salt, sealed with the tenant's key: without it they are erased, and the tree stays whole. */
  details: Uint8Array | null;
}

/** An actor, and the place it acts from. Entries name the row, since there are few of them. */
export interface AuditActorTable {
  shard: number;
  id: number;
  kind: string;
  actor_id: string;
  name: string | null;
  source: string;
}

/** The subject of an entry: a tenant, one grant of it, or a provider. Entries name the row, since they repeat. */
export interface AuditSubjectTable {
  shard: number;
  id: number;
  tenant: string | null;
  provider: string | null;
  account: string | null;
}

/** The size of a tree, and the hashes at its right edge by level. */
export interface AuditHeadTable extends MarkedTable {
  shard: number;
  size: number;
  /** JSON array of base64 texts: the hashes of each level that fill no tile yet. */
  edges: string;
  updated_at: number;
}

/** A key that signs checkpoints. */
export interface AuditKeyTable extends MarkedTable {
  shard: number;
  id: string;
  algorithm: string;
  /** The public key, in the form that verifiers take. */
  verifier: string;
  /** Sealed. */
  private_key: string;
  created_at: number;
  retired_at: number | null;
}

/** A full tile of the tree: 256 hashes. */
export interface AuditTileTable {
  shard: number;
  level: number;
  tile: number;
  hashes: Uint8Array;
}

/** A signed note about the log of a size. */
export interface AuditCheckpointTable {
  shard: number;
  size: number;
  at: number;
  note: string;
}
