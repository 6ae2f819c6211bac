import type { Selectable } from 'kysely';
import type { AuditCheckpointTable, AuditKeyTable } from '../../audit-schema.ts';
import { changedOne, type Reader, type WriteTx } from '../../database.ts';
import { onlyIntact } from '../../row-seal.ts';

export type CheckpointRow = Selectable<AuditCheckpointTable>;
export type AuditKeyRow = Omit<Selectable<AuditKeyTable>, 'mac'>;

const table = 'grantry_audit_checkpoints';
const keyTable = 'grantry_audit_keys';

/** Keeps a checkpoint. Returns false if there is one of this size, which stays. */
export async function insertCheckpoint(tx: WriteTx, row: CheckpointRow): Promise<boolean> {
  return tx
    .insertInto(table)
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/** The newest checkpoint of a tree. */
export async function newestCheckpoint(db: Reader, shard: number): Promise<CheckpointRow | undefined> {
  return db
    .selectFrom(table)
    .selectAll()
    .where('shard', '=', shard)
    .orderBy('size', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Checkpoints after a size, in order. */
export async function listCheckpoints(
  db: Reader,
  { shard, after, limit }: { shard: number; after: number; limit: number },
): Promise<CheckpointRow[]> {
  return db
    .selectFrom(table)
    .selectAll()
    .where('shard', '=', shard)
    .where('size', '>', after)
    .orderBy('size')
    .limit(limit)
    .execute();
}

/** Keeps a new signing key. Returns false if it is known. */
export async function insertAuditKey(tx: WriteTx, row: AuditKeyRow): Promise<boolean> {
  return tx
    .insertInto(keyTable)
    .values({ ...row, mac: tx.rows.mac(keyTable, row) })
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/** The signing keys of a tree, oldest first, also the retired ones. */
export async function listAuditKeys(db: Reader, shard: number): Promise<AuditKeyRow[]> {
  const rows = await db
    .selectFrom(keyTable)
    .selectAll()
    .where('shard', '=', shard)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return onlyIntact(db, keyTable, rows);
}
