import type { JudgedGrant } from '../judge/judge.ts';
import type { Life } from './life.ts';
import type { WorldState } from './state.ts';

/** A request for tokens of a grant that is known to be under way: what the judge looks at for I1. */
export interface Flight {
  readonly grant: JudgedGrant;
  readonly life: Life;
  readonly refreshToken: string;
  readonly sentAt: number;
  state: 'on its way' | 'answered' | 'over';
}

/** The refreshes of all processes, for the judge. */
export class Traffic {
  readonly flights = new Set<Flight>();
  /** When a process last began to ask for new tokens of a grant, with or without success. */
  readonly askedAt = new Map<JudgedGrant, number>();
}

/** One request, as its sender sees it: it ends once. */
export class Call {
  readonly life: Life;
  readonly flight: Flight | null;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (reason: unknown) => void;
  ended = false;
  /** Called when the answer can reach no sender: it stopped waiting, or died. */
  onDrop: (() => void) | null = null;

  constructor(
    life: Life,
    resolve: (response: Response) => void,
    reject: (reason: unknown) => void,
    flight: Flight | null,
  ) {
    this.life = life;
    this.flight = flight;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  succeed(response: Response): void {
    if (this.ended) return;
    this.ended = true;
    this.over();
    this.#resolve(response);
  }

  fail(reason: unknown): void {
    if (this.ended) return;
    this.ended = true;
    if (this.flight?.state === 'answered') this.over();
    this.onDrop?.();
    this.#reject(reason);
  }

  /** The sender died. A request that is on its way may arrive all the same. */
  drop(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.flight?.state === 'answered') this.over();
    this.onDrop?.();
  }

  /** Nothing of it is under way any more, even if the sender still waits. */
  over(): void {
    if (this.flight !== null) this.flight.state = 'over';
  }

  arriveAfter(state: WorldState, ms: number, what: string, arrive: () => void): void {
    state.scheduler.after(ms, this.life, `${what} comes`, () => {
      if (!this.ended) arrive();
    });
  }
}
