import { codeOf } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { RepeatedWarning } from '../../base/log.ts';
import { grantsChangedSince } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { ChangeWindow } from './change-window.ts';
import { instantOf, sinceMs } from './instant.ts';
import type { TokenCache } from './token-cache.ts';

/** Minimum age of a grant's last usage note before the next one, in multiples of the pause between two rounds of notes. */
const usageNotesApart = 15;

/**
 * Watches for changes that other processes commit, so that cached tokens are at most seconds old.
 *
 * SQLite reports cheaply whether anything was committed; PostgreSQL is asked for the changed grants. How far back a poll must
 * read, so that it misses no late commit, is for {@link ChangeWindow} to say.
 */
export class ChangeFeed {
  readonly #context: VaultContext;
  readonly #cache: TokenCache;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #counter: number | null = null;
  readonly #window = new ChangeWindow();
  #wasDown = false;
  readonly #unwatched: RepeatedWarning;
  readonly #unnoted: RepeatedWarning;
  /** By `World.monotonic`. */
  #notedUseAt = Number.NEGATIVE_INFINITY;
  #noting: Promise<void> | undefined;

  constructor(context: VaultContext, cache: TokenCache) {
    this.#context = context;
    this.#cache = cache;
    this.#unwatched = new RepeatedWarning(context.logger, 'the database cannot be watched for changes');
    this.#unnoted = new RepeatedWarning(context.logger, 'the use of grants could not be recorded');
  }

  /** Starts watching. Called before the first token is cached; does nothing when the feed already runs. */
  start(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the vault was closed'));
    await this.#running;
    await this.#noting;
  }

  async #run(): Promise<void> {
    const { world, store } = this.#context;
    while (!this.#stop.signal.aborted) {
      await this.#poll();
      try {
        await world.sleep(store.feedPauseMs, this.#stop.signal, { background: true });
      } catch {
        return;
      }
    }
  }

  async #poll(): Promise<void> {
    const { world, times, store, reach } = this.#context;
    // Read before the poll: the next poll finds what is committed during this one.
    const polledAt = instantOf(world);
    try {
      const counter = await store.changeCounter();
      if (counter === null || counter !== this.#counter) await this.#forgetChanged();
      this.#counter = counter;
      reach.noteAnswer();
      // Another database may be in the place of the old one. So each token is read again, but no token is lost to an outage.
      if (this.#wasDown || sinceMs(world, this.#cache.seenAt) >= times.feedTrustMs) this.#cache.distrustAll();
      this.#cache.epoch += 1;
      this.#cache.seenAt = polledAt;
      this.#startNoting(polledAt.monotonic);
      await this.#checkForFailover();
      this.#wasDown = false;
      this.#unwatched.worked();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#wasDown = true;
      this.#unwatched.failed(codeOf(error));
    }
  }

  /** Handles a replaced database: after an outage it may be a promoted standby, or a copy in the place of the old one. */
  async #checkForFailover(): Promise<void> {
    const { guard } = this.#context;
    if (!this.#wasDown && !guard.isStale) return;
    await guard.recheck();
    if (guard.failedOver) {
      this.#cache.forgetAll();
      const { recoverLostTail } = await import('../refresh/failover.ts');
      await recoverLostTail(this.#context);
    }
  }

  /** Starts to record which grants are in use; the next poll does not wait for that. */
  #startNoting(now: number): void {
    const { times } = this.#context;
    if (this.#noting !== undefined || now - this.#notedUseAt < times.usageNoteMs) return;
    this.#notedUseAt = now;
    this.#noting = this.#noteUse()
      .then(() => this.#unnoted.worked())
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        this.#unnoted.failed(codeOf(error));
      })
      .finally(() => {
        this.#noting = undefined;
      });
  }

  /** Records which grants are in use; workers refresh those ahead of need. */
  async #noteUse(): Promise<void> {
    const { times } = this.#context;
    const { noteUse } = await import('../../storage/statements/due.ts');
    for (const used of this.#cache.takeUsed(times.usageNoteMs * usageNotesApart, limits.usageBatch)) {
      if (this.#stop.signal.aborted) return;
      if (used.length > 0) await changing(this.#context, ({ tx }) => noteUse(tx, used));
      else await this.#context.world.sleep(0, this.#stop.signal, { background: true });
    }
  }

  async #forgetChanged(): Promise<void> {
    const { store } = this.#context;
    // Read before the changes: what is committed in between is read now, and once more by the next poll.
    const mark = await store.latestChange();
    const since = this.#window.since(mark);
    // Before the first token is held, there is nothing to compare.
    if (since === null || this.#cache.isEmpty) this.#cache.forgetAll();
    else await this.#forgetSince(since);
    // Not before: after a failure the next poll must find these changes.
    this.#window.advance(mark);
  }

  async #forgetSince(since: number): Promise<void> {
    const { store, times } = this.#context;
    const changed = await grantsChangedSince(store.db, since - times.feedOverlapMs, limits.feedRowsMax);
    if (changed.length === limits.feedRowsMax) this.#cache.forgetAll();
    for (const row of changed) {
      const key = { tenant: row.client_id, provider: row.provider, account: row.account };
      const generation = row.state === 'disconnected' ? Number.POSITIVE_INFINITY : row.generation;
      this.#cache.forgetOlder(key, generation, row.changed_at);
    }
  }
}
