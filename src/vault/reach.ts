import { GrantryError, isGrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import type { World } from '../base/world.ts';
import { endsInTime } from './deadline.ts';

/**
 * Asks the database for callers that can do without its answer, because memory has one.
 *
 * None of them waits out a database that is away. The first callers wait for a moment. After that, one read per second
 * asks in the background whether the database is back, and all callers are told at once.
 */
export class Reach {
  readonly #world: World;
  /** The start (`World.monotonic`) of the first read that failed or came too late; none while the database answers. */
  #awaySince: number | undefined;
  #askAgainAt = Number.NEGATIVE_INFINITY;
  /** The time of the last answer. What began before it and fails later says nothing about now. */
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(world: World) {
    this.#world = world;
  }

  /** True from the first read that failed or came too late until one succeeds. */
  get isAway(): boolean {
    return this.#awaySince !== undefined;
  }

  /** Notes that the database has answered another caller or the change feed: all callers may ask it again. */
  noteAnswer(): void {
    this.#awaySince = undefined;
    this.#answeredAt = this.#world.monotonic();
  }

  /**
   * Runs a read for a caller that waits at most `patienceMs` for it. If the database has been away for longer than that,
   * the caller does not wait at all. A read that is late continues: its end tells whether the database is back.
   *
   * @throws {GrantryError} `storage_unavailable` while the database is away or slow; every other error of `read`
   */
  async ask<T>(read: () => Promise<T>, patienceMs: number): Promise<T> {
    const now = this.#world.monotonic();
    if (this.#awaySince !== undefined && now - this.#awaySince >= patienceMs) {
      this.#probe(read);
      throw awayNow();
    }
    const asked = this.#watched(read);
    // Two waits: after a stall of this process the first one ends before the answer that has arrived is read.
    const halfMs = patienceMs / 2;
    if ((await endsInTime(this.#world, asked, halfMs)) || (await endsInTime(this.#world, asked, halfMs))) return asked;
    this.#noteAway(now);
    throw awayNow();
  }

  #probe(read: () => Promise<unknown>): void {
    if (this.#world.monotonic() < this.#askAgainAt) return;
    this.#askAgainAt = this.#world.monotonic() + limits.storageProbeMs;
    this.#watched(read).catch(() => {
      // Noted already, and no caller waits for it.
    });
  }

  async #watched<T>(read: () => Promise<T>): Promise<T> {
    const startedAt = this.#world.monotonic();
    try {
      const answer = await read();
      this.noteAnswer();
      return answer;
    } catch (error) {
      if (isGrantryError(error, 'storage_unavailable')) this.#noteAway(startedAt);
      else this.noteAnswer();
      throw error;
    }
  }

  #noteAway(since: number): void {
    if (since < this.#answeredAt) return;
    this.#awaySince ??= since;
    this.#askAgainAt = Math.max(this.#askAgainAt, since + limits.storageProbeMs);
  }
}

function awayNow(): GrantryError {
  return new GrantryError('storage_unavailable', 'The database does not answer now.', {
    retryAfterMs: limits.storageProbeMs,
  });
}
