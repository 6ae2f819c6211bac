import { type Acting, actingAs } from '../base/acting.ts';
import { codeOf, isGrantryError, isVaultDown } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { RepeatedWarning } from '../base/log.ts';
import type { VaultContext } from '../vault/context.ts';
import { internalsOf } from '../vault/internals.ts';
import type { Vault } from '../vault/types.ts';
import {
  claimDue,
  type DueRoom,
  type Duty,
  doDuty,
  duties,
  isPressing,
  tend,
  type UpkeepOutcome,
} from '../vault/upkeep/upkeep.ts';

/** Outcomes of the workers' tasks since they started. */
export type WorkerCounts = Readonly<Record<UpkeepOutcome, number>>;

/** Workers that run in this process. */
export interface Workers extends AsyncDisposable {
  /** Stops claiming, and waits for the tasks that have begun. */
  stop(): Promise<void>;
  readonly counts: WorkerCounts;
}

/**
 * Starts the workers of a vault.
 *
 * They refresh grants in use before a caller needs it and keep idle refresh tokens alive. They resolve uncertain
 * refreshes, retry given-up grants and empty the queues.
 *
 * Any number of processes may run workers on one database: each due grant is claimed by one. Run them in a long-running
 * process. Short-lived programs need none, because every caller refreshes the tokens it needs.
 *
 * @example
 * const workers = startWorkers(vault);
 * process.once('SIGTERM', () => void workers.stop());
 */
export function startWorkers(vault: Vault): Workers {
  const { open, handOut } = internalsOf(vault);
  const context = open();
  const stop = new AbortController();
  const counts: Record<UpkeepOutcome, number> = { refreshed: 0, failed: 0, put_off: 0, second_chance: 0, shredded: 0 };
  const dueGrants = new DueGrantLoop(context, stop.signal, async (grant) => {
    const outcome = await tend(context, handOut, grant);
    counts[outcome] += 1;
    return outcome;
  });
  const acting: Acting = { actor: { kind: 'worker', id: context.owner.id, name: null }, source: 'worker' };
  const running = actingAs(acting, () =>
    Promise.all([dueGrants.run(), ...duties.map((duty) => keepDoing(context, stop.signal, duty))]),
  );
  async function stopAll(): Promise<void> {
    stop.abort(new Error('the workers were stopped'));
    await running;
  }
  return { counts, stop: stopAll, [Symbol.asyncDispose]: stopAll };
}

type Due = Awaited<ReturnType<typeof claimDue>>[number];

/** Tasks under way, counted per provider. */
class RunningTasks {
  readonly #max: number;
  readonly #perProvider = new Map<string, number>();
  count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  change(provider: string, by: 1 | -1): void {
    this.count += by;
    this.#perProvider.set(provider, (this.#perProvider.get(provider) ?? 0) + by);
  }

  /** Room for further tasks: a slow provider delays its own grants and those of no other provider. */
  room(): DueRoom {
    const full = [...this.#perProvider].filter(([, calls]) => calls >= limits.providerCallsMax * 2);
    return {
      limit: Math.min(limits.workerBatch, this.#max - this.count),
      exceptProviders: full.map(([provider]) => provider),
    };
  }
}

/** Maintains due grants, many at a time; for one provider about as many as its bulkhead admits. */
class DueGrantLoop {
  readonly #context: VaultContext;
  readonly #signal: AbortSignal;
  readonly #tend: (grant: Due) => Promise<UpkeepOutcome>;
  readonly #noClaim: RepeatedWarning;
  /** When a refresh last failed, by `World.monotonic`. */
  #failedAt = Number.NEGATIVE_INFINITY;
  readonly #busy = new Set<Promise<void>>();
  readonly #usual = new RunningTasks(limits.workerGrantsMax);
  readonly #pressing = new RunningTasks(limits.workerDoubtsMax);
  /** Ends the present pause. */
  #nap = new AbortController();

  constructor(context: VaultContext, signal: AbortSignal, work: (grant: Due) => Promise<UpkeepOutcome>) {
    this.#context = context;
    this.#signal = signal;
    this.#tend = work;
    this.#noClaim = new RepeatedWarning(context.logger, 'workers cannot claim due grants');
    signal.addEventListener('abort', () => this.#nap.abort(), { once: true });
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const claimed = await this.#claim();
      for (const grant of claimed) this.#start(grant);
      if (claimed.length > 0 && this.#usual.count < limits.workerGrantsMax) continue;
      await this.#rest();
    }
    await Promise.allSettled(this.#busy);
  }

  /** Pauses until a task is finished, which may make room for more of its provider, or until the time is over. */
  async #rest(): Promise<void> {
    this.#nap = new AbortController();
    if (!this.#signal.aborted) await pause(this.#context, this.#nap.signal, this.#pauseMs());
  }

  /** Shorter after a failure: its back-off is short too, and an overlap may be running. */
  #pauseMs(): number {
    const { times, world } = this.#context;
    const isRecent = world.monotonic() - this.#failedAt < 2 * times.workerPauseMs;
    return isRecent ? Math.min(times.workerPauseMs, times.retryBackOffMs / 2) : times.workerPauseMs;
  }

  async #claim(): Promise<Due[]> {
    const { guard } = this.#context;
    try {
      if (guard.reason !== null) await guard.recheck();
      if (guard.reason !== null) return [];
      const rooms = { pressing: this.#pressing.room(), usual: this.#usual.room() };
      const due = await claimDue(this.#context, rooms);
      this.#noClaim.worked();
      return due;
    } catch (error) {
      this.#noClaim.failed(codeOf(error));
      await pause(this.#context, this.#signal, this.#context.times.workerPauseMs);
      return [];
    }
  }

  /** While the database is away, a claim cannot be given back. Until it ends no other worker may try, so this one does. */
  async #run(grant: Due): Promise<void> {
    const { world, times } = this.#context;
    const [holdMs, pauseMs] = isPressing(grant)
      ? [times.doubtHoldMs, times.retryBackOffMs]
      : [times.workerHoldMs, times.workerPauseMs];
    const lastAt = world.monotonic() + holdMs - pauseMs;
    for (;;) {
      try {
        if ((await this.#tend(grant)) === 'failed') this.#failedAt = world.monotonic();
        return;
      } catch (error) {
        const mayTryAgain = isGrantryError(error) && isVaultDown(error) && world.monotonic() < lastAt;
        if (!mayTryAgain) throw error;
      }
      await pause(this.#context, this.#signal, pauseMs);
      if (this.#signal.aborted) return;
    }
  }

  #start(grant: Due): void {
    const { provider } = grant;
    const tasks = isPressing(grant) ? this.#pressing : this.#usual;
    tasks.change(provider, 1);
    const work = this.#run(grant)
      .catch((error: unknown) => {
        const code = codeOf(error);
        this.#context.logger.warn('the maintenance of a due grant failed', { grant: grant.id, code });
      })
      .finally(() => {
        this.#busy.delete(work);
        tasks.change(provider, -1);
        this.#nap.abort();
      });
    this.#busy.add(work);
  }
}

/** Does one duty again and again. */
async function keepDoing(context: VaultContext, signal: AbortSignal, duty: Duty): Promise<void> {
  const warning = new RepeatedWarning(context.logger, 'the maintenance of a queue failed', { queue: duty.queue });
  while (!signal.aborted) {
    try {
      await doDuty(context, duty);
      warning.worked();
    } catch (error) {
      warning.failed(codeOf(error));
    }
    await pause(context, signal, context.times.workerPauseMs);
  }
}

async function pause(context: VaultContext, signal: AbortSignal, ms: number): Promise<void> {
  try {
    await context.world.sleep(ms, signal, { background: true });
  } catch {
    // Stopped: the loop checks the signal next.
  }
}
