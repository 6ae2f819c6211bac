import { type JudgedGrant, nameOf } from '../judge/judge.ts';
import type { Traffic } from './call.ts';
import type { Life } from './life.ts';
import type { WorldState } from './state.ts';

const tickMs = 1_000;
/** Lease, workers' pause, the hold of a worker that died, and the longest back-off that an overlap of a minute allows. */
const patienceMs = 20_000;
const putOffMs = 30_000;

/**
 * Watches grants whose newest token was lost while the provider would still take the one before: as long as a process
 * can ask and the provider answers, one must ask again. A grant that is lost in the end was lost in spite of that.
 */
export class Chances {
  readonly #state: WorldState;
  readonly #traffic: Traffic;
  readonly #lives: readonly (Life | undefined)[];
  readonly #missedMs = new Map<JudgedGrant, number>();

  constructor(state: WorldState, traffic: Traffic, lives: readonly (Life | undefined)[]) {
    this.#state = state;
    this.#traffic = traffic;
    this.#lives = lives;
  }

  watch(): void {
    const { plan, judge, scheduler } = this.#state;
    const overlapping = judge.grants.filter((grant) => this.#overlaps(grant));
    // Slow machines keep no times, and clocks that have jumped wildly keep none any more.
    if (overlapping.length === 0 || plan.slowness > 1) return;
    const tick = (): void => {
      if (Number.isFinite(this.#state.jumpedWildlyAt)) return;
      const free = !this.#state.isLying() && this.#state.storeBusyUntil <= scheduler.now;
      const stuck = this.#lives.some((life) => life?.dead === false && life.paused && life.isCommitting);
      const able = free && !stuck && this.#lives.some((life) => this.#isAble(life));
      for (const grant of overlapping) this.#look(grant, able);
      scheduler.after(tickMs, null, 'the judge looks', tick);
    };
    tick();
  }

  /** A throttle without a word on its length, and a refusal, are looked at again after half of what is left of the overlap. */
  putOff(grant: JudgedGrant): void {
    this.#missedMs.set(grant, -putOffMs);
  }

  #look(grant: JudgedGrant, able: boolean): void {
    const { judge } = this.#state;
    const missedMs = this.#missedMs.get(grant) ?? 0;
    if (!able || this.#state.refuses(grant) || !this.#isInOverlap(grant) || this.#isAsked(grant)) {
      this.#missedMs.set(grant, Math.min(0, missedMs));
      return;
    }
    this.#missedMs.set(grant, missedMs + tickMs);
    if (missedMs + tickMs <= patienceMs) return;
    judge.violated(`no process asked again for ${nameOf(grant)} while its overlap was running out`);
  }

  /** For the provider, and for the vault: for it, the overlap may have begun with the first request that has no outcome. */
  #isInOverlap(grant: JudgedGrant): boolean {
    const { judge } = this.#state;
    return (
      judge.isInOverlap(grant) && judge.firstUnresolvedAt(grant) + this.#overlapMs(grant) > this.#state.wallClock()
    );
  }

  /** Its workers run, and its database answers. */
  #isAble(life: Life | undefined): boolean {
    if (life === undefined || life.dead || life.paused || life.closing) return false;
    return life.workers !== undefined && life.storeDownUntil <= this.#state.scheduler.now;
  }

  /** A process asked since the last look, or waits for an answer. */
  #isAsked(grant: JudgedGrant): boolean {
    const { scheduler } = this.#state;
    if (scheduler.now - (this.#traffic.askedAt.get(grant) ?? Number.NEGATIVE_INFINITY) <= tickMs) return true;
    return [...this.#traffic.flights].some(
      (flight) => flight.grant === grant && flight.state !== 'over' && !flight.life.dead && !flight.life.paused,
    );
  }

  #overlaps(grant: JudgedGrant): boolean {
    return this.#overlapMs(grant) <= 60_000;
  }

  #overlapMs(grant: JudgedGrant): number {
    const { rotation } = this.#state.plan.profiles.find(({ id }) => id === grant.provider) ?? {};
    return rotation?.kind === 'timed_overlap' ? rotation.overlapSeconds * 1_000 : Number.POSITIVE_INFINITY;
  }
}
