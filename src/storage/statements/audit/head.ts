import type { Selectable } from 'kysely';
import type { AuditHeadTable, AuditTileTable } from '../../audit-schema.ts';
import { changedOne, type Reader, type WriteTx } from '../../database.ts';
import { intact } from '../../row-seal.ts';

export type AuditHeadRow = Omit<Selectable<AuditHeadTable>, 'mac'>;
export type AuditTileRow = Selectable<AuditTileTable>;

const table = 'grantry_audit_heads';

/**
 * Reads the head of a tree and keeps others from growing the tree until the transaction ends. Undefined for a tree that
 * has no entry yet.
 *
 * @throws {GrantryError} `integrity_failed`
 */
export async function lockHead(tx: WriteTx, shard: number): Promise<AuditHeadRow | undefined> {
  const query = tx.selectFrom(table).selectAll().where('shard', '=', shard);
  return intact(tx, table, await tx.locked(query).executeTakeFirst());
}

/** Reads the head of a tree. @throws {GrantryError} `integrity_failed` */
export async function findHead(db: Reader, shard: number): Promise<AuditHeadRow | undefined> {
  const row = await db.selectFrom(table).selectAll().where('shard', '=', shard).executeTakeFirst();
  return intact(db, table, row);
}

/** Makes the head of a new tree. Returns false if another process was faster. */
export async function insertHead(tx: WriteTx, head: AuditHeadRow): Promise<boolean> {
  return tx
    .insertInto(table)
    .values({ ...head, mac: tx.rows.mac(table, head) })
    .onConflict((conflict) => conflict.doNothing())
    .$call(changedOne);
}

/** Moves a head that the caller has locked. Returns false if the tree has another size by now. */
export async function moveHead(tx: WriteTx, fromSize: number, head: AuditHeadRow): Promise<boolean> {
  const { size, edges, updated_at } = head;
  return tx
    .updateTable(table)
    .set({ size, edges, updated_at, mac: tx.rows.mac(table, head) })
    .where('shard', '=', head.shard)
    .where('size', '=', fromSize)
    .$call(changedOne);
}

/** Keeps the hashes of tiles that are full. */
export async function insertTiles(tx: WriteTx, tiles: readonly AuditTileRow[]): Promise<void> {
  if (tiles.length > 0)
    await tx
      .insertInto('grantry_audit_tiles')
      .values([...tiles])
      .execute();
}

/** The full tiles of a level, in order. */
export async function listTiles(
  db: Reader,
  { shard, level, from, limit }: { shard: number; level: number; from: number; limit: number },
): Promise<AuditTileRow[]> {
  return db
    .selectFrom('grantry_audit_tiles')
    .selectAll()
    .where('shard', '=', shard)
    .where('level', '=', level)
    .where('tile', '>=', from)
    .orderBy('tile')
    .limit(limit)
    .execute();
}
