import { limits } from '../../base/limits.ts';
import { type QueueDepths, readQueues } from '../../storage/statements/queues.ts';
import type { VaultContext } from '../context.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';

/** How things stand now, for whoever watches over them. */
export interface Gauges {
  /** Answers to callers since the start, by where the token came from. */
  readonly answers: Readonly<Record<'memory' | 'row' | 'refresh', number>>;
  readonly compartments: ReturnType<VaultContext['bulkheads']['states']>;
  readonly quarantined: boolean;
  /** Null while the database does not answer. */
  readonly queues: QueueDepths | null;
  /** Spool files by their kind; null while the directory cannot be read. */
  readonly spool: SpoolDepth | null;
}

/** `waiting`: room for answers under way. `answer`: not committed yet. `saved`: committed, kept for a failover. */
export type SpoolDepth = Readonly<Record<'waiting' | 'answer' | 'saved', number>>;

/** Asks the database and the spool; what does not answer is left out. */
export async function readGauges(vault: Vault): Promise<Gauges> {
  const { open, handOut } = internalsOf(vault);
  const context = open();
  const [queues, spool] = await Promise.all([
    readQueues(context.store.db, limits.queueCountMax).catch(() => null),
    depthOf(context).catch(() => null),
  ]);
  return {
    answers: { ...handOut.answers },
    compartments: context.bulkheads.states(),
    quarantined: context.guard.reason !== null,
    queues,
    spool,
  };
}

async function depthOf(context: VaultContext): Promise<SpoolDepth> {
  return (await context.spool()).depth();
}
