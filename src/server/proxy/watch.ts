import { GrantryError } from '../../base/errors.ts';
import type { World } from '../../base/world.ts';
import type { ServerLimits } from '../limits/server-limits.ts';

type ProxyTimes = Pick<ServerLimits, 'proxyFirstByteMs' | 'proxyIdleMs' | 'proxyTotalMs'>;

/** One watched call. */
export interface Watched {
  /** Data was sent or received. */
  touch(): void;
  /** The request was sent completely: the provider's time begins. */
  requestEnded(): void;
  /** The answer began: from now on only the idle and total limits apply. */
  answerBegan(): void;
  end(): void;
}

interface Entry {
  phase: 'request' | 'waiting' | 'answer';
  readonly startedAt: number;
  movedAt: number;
  readonly abort: (reason: GrantryError) => void;
}

/** The interval between two checks; one timer checks all calls. */
const lookMs = 1_000;

/** Ends the calls that take too long. */
export class CallWatch {
  readonly #world: World;
  readonly #times: ProxyTimes;
  readonly #entries = new Set<Entry>();
  #looking = false;

  constructor(world: World, times: ProxyTimes) {
    this.#world = world;
    this.#times = times;
  }

  /** @param abort ends the call; the caller gets its reason if no answer has begun */
  watch(abort: (reason: GrantryError) => void): Watched {
    const now = this.#world.monotonic();
    const entry: Entry = { phase: 'request', startedAt: now, movedAt: now, abort };
    this.#entries.add(entry);
    if (!this.#looking) void this.#look();
    const touch = (): void => {
      entry.movedAt = this.#world.monotonic();
    };
    return {
      touch,
      requestEnded: () => {
        if (entry.phase !== 'request') return;
        entry.phase = 'waiting';
        touch();
      },
      answerBegan: () => {
        entry.phase = 'answer';
        touch();
      },
      end: () => this.#entries.delete(entry),
    };
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#entries.size > 0) {
      await this.#world.sleep(lookMs, undefined, { background: true });
      const now = this.#world.monotonic();
      for (const entry of this.#entries) {
        const reason = this.#lateness(entry, now);
        if (reason === null) continue;
        this.#entries.delete(entry);
        entry.abort(reason);
      }
    }
    this.#looking = false;
  }

  #lateness({ phase, startedAt, movedAt }: Entry, now: number): GrantryError | null {
    const { proxyFirstByteMs: firstByteMs, proxyIdleMs: idleMs, proxyTotalMs: totalMs } = this.#times;
    const unavailable = (message: string): GrantryError =>
      new GrantryError('provider_unavailable', message, { retryAfterMs: 2_000 });
    if (phase === 'waiting' && now - movedAt >= firstByteMs) {
      return unavailable(`The provider's API did not begin to answer within ${Math.round(firstByteMs / 1_000)} s.`);
    }
    if (phase !== 'waiting' && now - movedAt >= idleMs) {
      return unavailable(`The call was idle for ${Math.round(idleMs / 1_000)} s.`);
    }
    if (now - startedAt >= totalMs) {
      return unavailable(`The call took longer than ${Math.round(totalMs / 1_000)} s.`);
    }
    return null;
  }
}
