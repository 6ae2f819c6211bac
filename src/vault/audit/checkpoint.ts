import { signCheckpoint } from '../../audit/checkpoint.ts';
import { parseEdges, rootOfEdges } from '../../audit/edges.ts';
import { GrantryError } from '../../base/errors.ts';
import type { AuditCheckpoint } from '../../schemas/audit.ts';
import { insertCheckpoint, newestCheckpoint } from '../../storage/statements/audit/checkpoints.ts';
import { findHead, lockHead } from '../../storage/statements/audit/head.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { onlyShard } from './leaf.ts';
import { sequenceEntries } from './sequence.ts';
import { originOf, signersOf, verifiersOf } from './signing-keys.ts';

/** A checkpoint is signed when the newest is that old, or the log has grown by that much. */
const everyMs = 10_000;
const everyEntries = 1_000;
const hourMs = 3_600_000;

/**
 * Signs a checkpoint of the log as it is, unless the newest one is of this size.
 *
 * @param options `brief` leaves out the signature of ML-DSA-44, which is longer than all else
 * @throws {GrantryError} `integrity_failed` if the log is shorter than what was signed
 */
export async function signNow(context: VaultContext, { brief = false }: { brief?: boolean } = {}): Promise<void> {
  const { store, world } = context;
  const size = (await findHead(store.db, onlyShard))?.size ?? 0;
  const newest = await newestCheckpoint(store.db, onlyShard);
  if (size === 0 || newest?.size === size) return;
  if (newest !== undefined && newest.size > size) throw shorter(size, newest.size);
  const at = world.now();
  const signers = await signersOf(context, Math.floor(at / 1_000), { brief });
  const origin = await originOf(context);
  await changing(context, async ({ tx }) => {
    // Under the lock of the head: what is signed is what all processes go on from.
    const head = await lockHead(tx, onlyShard);
    const root = head === undefined ? undefined : rootOfEdges(parseEdges(head.edges));
    if (head === undefined || root === undefined) return;
    const note = signCheckpoint({ origin, size: head.size, root, extensions: [] }, signers);
    await insertCheckpoint(tx, { shard: onlyShard, size: head.size, at, note });
  });
}

/** Signs a checkpoint if one is due. */
export async function signIfDue(context: VaultContext): Promise<void> {
  const { store, world } = context;
  const size = (await findHead(store.db, onlyShard))?.size ?? 0;
  const newest = await newestCheckpoint(store.db, onlyShard);
  if (size === 0 || newest?.size === size) return;
  const scale = world.timeScale ?? 1;
  const isOld = newest === undefined || Math.abs(world.now() - newest.at) >= everyMs * scale;
  if (!isOld && size - newest.size < everyEntries) return;
  const isFirstOfHour = newest === undefined || Math.floor(newest.at / hourMs) !== Math.floor(world.now() / hourMs);
  await signNow(context, { brief: !isFirstOfHour });
}

/** Signs the log as it is now, and returns the checkpoint. */
export async function checkpointNow(context: VaultContext): Promise<AuditCheckpoint> {
  if (context.guard.reason === null) {
    await sequenceEntries(context);
    await signNow(context);
    // Making the first keys is a change of its own, which the next checkpoint tells.
  }
  const newest = await newestCheckpoint(context.store.db, onlyShard);
  if (newest === undefined) throw new GrantryError('not_found', 'The audit log has no entry yet.');
  const verifiers = await verifiersOf(context);
  return { size: newest.size, root: rootIn(newest.note), note: newest.note, verifiers };
}

function shorter(size: number, signed: number): GrantryError {
  const text = `The audit log has ${size} entries, and a checkpoint has signed ${signed}.`;
  return new GrantryError('integrity_failed', text, {
    action: 'Find out who can write to the database, then run: grantry audit verify',
  });
}

/** The root is the third line of a checkpoint. */
function rootIn(note: string): string {
  return note.split('\n')[2] ?? '';
}
