import { type Edges, edgesText, type FullTile, grow, parseEdges } from '../../audit/edges.ts';
import { joinHashes, leafHash } from '../../audit/merkle.ts';
import { codeOf, GrantryError, isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { WriteTx } from '../../storage/database.ts';
import { insertHead, insertTiles, lockHead, moveHead } from '../../storage/statements/audit/head.ts';
import type { AuditEntryRow } from '../../storage/statements/audit/log.ts';
import { insertEntries } from '../../storage/statements/audit/log.ts';
import { type CheckedEntryRow, dequeueEntries, oldestQueued } from '../../storage/statements/audit/queue.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { leafText, onlyShard } from './leaf.ts';
import { withNumbers } from './numbers.ts';
import { placed, type ReadEntry, readQueued } from './place.ts';

/** Entries that get their place in one transaction. */
const batchMax = 1_000;

/** Batches of one call. What is left is for the next one: a reader must not wait for a long queue. */
const batchesMax = 50;

/**
 * Gives the entries of the queue their places in the tree. Any number of processes may do so at once: the row of the head
 * lets one in after the other.
 *
 * @returns how many got a place
 */
export async function sequenceEntries(context: VaultContext): Promise<number> {
  let sequenced = 0;
  for (let batch = 0; batch < batchesMax; batch += 1) {
    const count = await sequenceAny(context);
    sequenced += count;
    if (count < batchMax) break;
    // Others of this process are let in: SQLite answers without a pause of its own.
    await context.world.sleep(0);
  }
  return sequenced;
}

/** An entry that cannot be placed must not keep all others from their places: it is found, and told as altered. */
async function sequenceAny(context: VaultContext): Promise<number> {
  try {
    return await sequenceSome(context, { limit: batchMax });
  } catch (error) {
    if (isGrantryError(error) && (isVaultDown(error) || error.code === 'integrity_failed')) throw error;
    context.logger.error('entries of the audit log cannot be placed; each is tried by itself', { code: codeOf(error) });
  }
  let count = 0;
  for (; count < batchMax; count += 1) {
    if ((await sequenceOne(context)) === 0) break;
  }
  return count;
}

async function sequenceOne(context: VaultContext): Promise<number> {
  try {
    return await sequenceSome(context, { limit: 1 });
  } catch (error) {
    if (isGrantryError(error) && (isVaultDown(error) || error.code === 'integrity_failed')) throw error;
    return sequenceSome(context, { limit: 1, asAltered: true });
  }
}

async function sequenceSome(
  context: VaultContext,
  { limit, asAltered = false }: { readonly limit: number; readonly asAltered?: boolean },
): Promise<number> {
  const { store } = context;
  const read = (row: CheckedEntryRow): ReadEntry => readQueued(asAltered ? { ...row, isIntact: false } : row);
  const waiting = (await oldestQueued(store.db, limit)).map(read);
  if (waiting.length === 0) return 0;
  // The keys are loaded before the transaction, which waits for nothing but its own statements.
  const pins = await pinAll(context, waiting);
  return changing(context, async ({ tx }) => {
    const head = (await lockHead(tx, onlyShard)) ?? (await firstHead(tx, context));
    // Read again under the lock: another process may have placed some of them.
    const queued = (await oldestQueued(tx, limit)).map(read).filter(({ sealer }) => pins.has(sealer));
    if (queued.length === 0) return 0;
    const rows = queued.map((entry, at) => placed(head.size + at, entry, pinOf(pins, entry), context.world));
    const leaves = rows.map((row) => leafHash(leafText(row)));
    const { edges, tiles } = grow(parseEdges(head.edges), head.size, leaves);
    await write(tx, { rows, tiles, edges, fromSize: head.size, at: context.world.now() });
    const ids = queued.map(({ row }) => row.id);
    const removed = await dequeueEntries(tx, ids);
    if (removed !== queued.length) throw lost('entries left the queue while they got their places');
    return queued.length;
  });
}

async function firstHead(tx: WriteTx, { world }: VaultContext): Promise<{ size: number; edges: string }> {
  const first = { shard: onlyShard, size: 0, edges: '[]', updated_at: world.now() };
  await insertHead(tx, first);
  const head = await lockHead(tx, onlyShard);
  if (head === undefined) throw lost('the head of the audit log was removed');
  return head;
}

interface Written {
  readonly rows: readonly AuditEntryRow[];
  readonly tiles: readonly FullTile[];
  readonly edges: Edges;
  readonly fromSize: number;
  readonly at: number;
}

async function write(tx: WriteTx, { rows, tiles, edges, fromSize, at }: Written): Promise<void> {
  await insertEntries(tx, await withNumbers(tx, rows));
  await insertTiles(
    tx,
    tiles.map(({ level, tile, hashes }) => ({
      shard: onlyShard,
      level,
      tile,
      hashes: joinHashes(hashes),
    })),
  );
  const head = { shard: onlyShard, size: fromSize + rows.length, edges: edgesText(edges), updated_at: at };
  if (!(await moveHead(tx, fromSize, head))) throw lost('the head of the audit log was moved by another program');
}

async function pinAll(context: VaultContext, waiting: readonly ReadEntry[]): Promise<Map<string, PinnedTenant>> {
  const pins = new Map<string, PinnedTenant>();
  for (const sealer of new Set(waiting.map((entry) => entry.sealer))) pins.set(sealer, await context.keys.pin(sealer));
  return pins;
}

function pinOf(pins: ReadonlyMap<string, PinnedTenant>, { sealer }: ReadEntry): PinnedTenant {
  const pinned = pins.get(sealer);
  if (pinned === undefined) throw lost('the keys of an entry are missing');
  return pinned;
}

function lost(message: string): GrantryError {
  return new GrantryError('integrity_failed', `The audit log does not fit: ${message}.`, {
    action: 'Find out who can write to the database, then run: grantry audit verify',
  });
}
