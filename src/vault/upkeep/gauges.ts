import { limits } from '../../base/limits.ts';
import { type QueueDepths, readQueues } from '../../storage/statements/queues.ts';
import type { VaultContext } from '../context.ts';
import { internalsOf } from '../internals.ts';
import type { SpoolDepth } from '../spool/depth.ts';
import type { Vault } from '../types.ts';
import { type ProviderLimits, readProviderLimits } from './provider-limits.ts';

/** Current state of a vault, for monitoring. */
export interface Gauges {
  /** Answers to callers since the start, by the source of the token. */
  readonly answers: Readonly<Record<'memory' | 'row' | 'refresh', number>>;
  readonly compartments: ReturnType<VaultContext['bulkheads']['states']>;
  readonly quarantined: boolean;
  /** True while the switch for simulators is on. */
  readonly unsafe: boolean;
  /** Null while the database is unavailable. */
  readonly queues: QueueDepths | null;
  /** The use of the providers' limits, by provider; null while the database is unavailable. */
  readonly providerLimits: ReadonlyMap<string, ProviderLimits> | null;
  /** Number of spool files of each kind; null while the directory is unreadable. */
  readonly spool: SpoolDepth | null;
}

/** Reads the database and the spool; a source that fails is reported as null. */
export async function readGauges(vault: Vault): Promise<Gauges> {
  const { open, handOut } = internalsOf(vault);
  const context = open();
  const [queues, providerLimits, spool] = await Promise.all([
    readQueues(context.store.db, limits.queueCountMax).catch(() => null),
    readProviderLimits(context).catch(() => null),
    context
      .spool()
      .then((spooled) => spooled.depth())
      .catch(() => null),
  ]);
  return {
    answers: { ...handOut.answers },
    compartments: context.bulkheads.states(),
    quarantined: context.guard.reason !== null,
    unsafe: context.allowLoopback,
    queues,
    providerLimits,
    spool,
  };
}
