import { codeOf } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { noteUse } from '../../storage/statements/due.ts';
import { grantsChangedSince } from '../../storage/statements/grants.ts';
import type { VaultContext } from '../context.ts';
import type { Memory } from './token-cache.ts';

/** A grant in steady use is noted again after this many times the pause between two notes. */
const usageNotesApart = 15;

/**
 * Watches for changes that other processes commit, so that what memory holds is at most seconds old.
 *
 * SQLite tells cheaply whether anything was committed at all; PostgreSQL is asked for the grants that changed. Each look
 * reads a while back again, since a transaction may commit after a later one that began before it.
 */
export class ChangeFeed {
  readonly #context: VaultContext;
  readonly #memory: Memory;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #counter: number | null = null;
  #readUntilMs: number | undefined;
  #wasAway = false;
  #notedUseAt = 0;

  constructor(context: VaultContext, memory: Memory) {
    this.#context = context;
    this.#memory = memory;
  }

  /** Starts watching; called before the first token is held. Does nothing when it runs already. */
  start(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the vault was closed'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { world, times, store } = this.#context;
    const pauseMs = store.kind === 'sqlite' ? times.feedSqliteMs : times.feedPostgresMs;
    while (!this.#stop.signal.aborted) {
      await this.#look();
      try {
        await world.sleep(pauseMs, this.#stop.signal, { background: true });
      } catch {
        return;
      }
    }
  }

  async #look(): Promise<void> {
    const { world, times, store, logger } = this.#context;
    // Counted from before the look: what is committed while it runs is found by the next one.
    const lookedAt = world.now();
    try {
      const counter = await store.changeCounter();
      if (counter === null || counter !== this.#counter) await this.#forgetChanged();
      this.#counter = counter;
      this.#memory.looks += 1;
      this.#memory.trustedUntilMs = lookedAt + times.feedTrustMs;
      this.#memory.lastSeenMs = lookedAt;
      await this.#noteUse(lookedAt);
      await this.#lookAtPlace();
      this.#wasAway = false;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#wasAway = true;
      logger.warn('the database cannot be watched for changes', {
        code: codeOf(error),
      });
    }
  }

  /** The database that answers now may be another one: a promoted standby, or a copy that was put in its place. */
  async #lookAtPlace(): Promise<void> {
    const { guard } = this.#context;
    if (!this.#wasAway && !guard.isStale) return;
    await guard.recheck();
    if (this.#wasAway || guard.failedOver) this.#memory.forgetAll();
    if (guard.failedOver) {
      const { bringBackTail } = await import('../refresh/failover.ts');
      await bringBackTail(this.#context);
    }
  }

  /** Notes now and then which grants are in use: workers refresh those ahead of need. */
  async #noteUse(now: number): Promise<void> {
    const { store, times } = this.#context;
    if (now - this.#notedUseAt < times.usageNoteMs) return;
    this.#notedUseAt = now;
    for (;;) {
      const used = this.#memory.takeUsed(times.usageNoteMs * usageNotesApart, limits.usageBatch);
      if (used.length > 0) await noteUse(store.db, store.now(), used);
      if (used.length < limits.usageBatch) return;
    }
  }

  async #forgetChanged(): Promise<void> {
    const { store, times } = this.#context;
    const now = await store.nowMs();
    // A clock that was set back gives changes times that were read already.
    if (this.#readUntilMs !== undefined && now < this.#readUntilMs) this.#memory.forgetAll();
    this.#readUntilMs ??= now;
    const changed = await grantsChangedSince(store.db, this.#readUntilMs - times.feedOverlapMs, limits.feedRowsMax);
    if (changed.length === limits.feedRowsMax) this.#memory.forgetAll();
    for (const row of changed) {
      const key = { tenant: row.client_id, provider: row.provider, account: row.account };
      const generation = row.state === 'disconnected' ? Number.POSITIVE_INFINITY : row.generation;
      this.#memory.forgetOlder(key, generation, row.changed_at);
    }
    this.#readUntilMs = now;
  }
}
