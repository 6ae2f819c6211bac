import { GrantryError } from '../base/errors.ts';
import { limits, type Times } from '../base/limits.ts';
import { randomFraction, type World } from '../base/world.ts';
import { type GrantRow, metadataOf } from '../storage/statements/grants.ts';

/** The compartment of a grant: its provider and data centre. */
export function compartmentOf(row: Pick<GrantRow, 'provider' | 'metadata'>): string {
  const dc = metadataOf(row)['dc'];
  return typeof dc === 'string' ? `${row.provider}/${dc}` : row.provider;
}

/** How a call behind a bulkhead ended, as far as the provider's health goes. */
export type CallHealth = 'good' | 'bad';

/**
 * Keeps one provider's trouble from becoming everybody's: per provider and data centre a number of calls at once, and a
 * breaker that opens when call after call fails.
 *
 * Slots are taken before a lease is: whoever waits in here holds nothing that others need. The breaker opens after
 * {@link limits}.breakerFailures failures in a row; then one call at a time tries whether the provider is back, after a
 * pause that doubles up to a minute.
 */
export class Bulkheads {
  readonly #world: World;
  readonly #times: Times;
  readonly #compartments = new Map<string, Compartment>();

  constructor(world: World, times: Times) {
    this.#world = world;
    this.#times = times;
  }

  /**
   * Runs a call in its provider's compartment, waiting for a free slot. What is `urgent` has a deadline at the provider: it
   * is not stopped by an open breaker, goes before all others who wait, and has {@link limits}.urgentCallsMax slots more.
   *
   * @throws {GrantryError} `provider_unavailable` at once while the breaker is open, or when no slot gets free in time
   */
  async run<T>(
    name: string,
    call: (report: (health: CallHealth) => void) => Promise<T>,
    { urgent = false }: { urgent?: boolean } = {},
  ): Promise<T> {
    const compartment = this.#compartment(name);
    if (!urgent) this.#refuseWhileOpen(compartment);
    await this.#takeSlot(compartment, urgent);
    try {
      // It may have opened while we waited.
      if (!urgent) this.#refuseWhileOpen(compartment);
      const probing = compartment.failures >= limits.breakerFailures;
      if (probing) compartment.probing = true;
      try {
        return await call((health) => this.#note(compartment, health));
      } finally {
        if (probing) compartment.probing = false;
      }
    } finally {
      this.#passSlot(compartment);
    }
  }

  /**
   * Asks for leave to try a grant again that failed before: retries may be a tenth of the calls, so that a provider which
   * comes back is not greeted by all of them at once.
   *
   * When all are used, one more is allowed each {@link Times}.breakerPauseMs: where every grant has failed there are no
   * first calls any more, and somebody must find out that the provider is back. From then on each that is served allows
   * the next, see {@link countServed}.
   *
   * @throws {GrantryError} `provider_unavailable` when the budget is used up
   */
  countTry(name: string, kind: 'first' | 'retry'): void {
    const compartment = this.#compartment(name);
    const now = this.#world.monotonic();
    allow(compartment, (now - compartment.allowedAt) / this.#times.breakerPauseMs);
    compartment.allowedAt = now;
    if (kind === 'first') {
      allow(compartment, limits.retryBudgetShare);
      return;
    }
    if (compartment.retries < 1) {
      throw new GrantryError('provider_unavailable', 'Too many calls to this provider are being repeated already.', {
        retryAfterMs: this.#times.breakerPauseMs,
      });
    }
    compartment.retries -= 1;
  }

  /** The provider gave tokens: whoever failed before may try. */
  countServed(name: string): void {
    allow(this.#compartment(name), 1);
  }

  /** The state of every compartment, for reports. */
  states(): readonly {
    readonly name: string;
    readonly calls: number;
    readonly waiting: number;
    readonly open: boolean;
  }[] {
    return [...this.#compartments].map(([name, { calls, urgent, waiting, failures }]) => ({
      name,
      calls,
      waiting: urgent.length + waiting.length,
      open: failures >= limits.breakerFailures,
    }));
  }

  #compartment(name: string): Compartment {
    const known = this.#compartments.get(name);
    if (known !== undefined) return known;
    const made: Compartment = {
      calls: 0,
      urgent: [],
      waiting: [],
      failures: 0,
      openUntil: 0,
      probing: false,
      retries: limits.retryBudgetMax,
      allowedAt: this.#world.monotonic(),
    };
    this.#compartments.set(name, made);
    return made;
  }

  #refuseWhileOpen(compartment: Compartment): void {
    if (compartment.failures < limits.breakerFailures) return;
    const leftMs = compartment.openUntil - this.#world.monotonic();
    if (leftMs <= 0 && !compartment.probing) return;
    throw new GrantryError(
      'provider_unavailable',
      'The provider has failed call after call and is left alone a while.',
      {
        retryAfterMs: Math.max(leftMs, this.#times.breakerPauseMs),
      },
    );
  }

  async #takeSlot(compartment: Compartment, urgent: boolean): Promise<void> {
    const callsMax = limits.providerCallsMax + (urgent ? limits.urgentCallsMax : 0);
    if (compartment.calls < callsMax) {
      compartment.calls += 1;
      return;
    }
    const stop = new AbortController();
    let pass: () => void = () => {};
    const passed = new Promise<boolean>((resolve) => {
      pass = () => resolve(true);
    });
    const queue = urgent ? compartment.urgent : compartment.waiting;
    queue.push(pass);
    const late = this.#world.sleep(this.#times.callerWaitMs, stop.signal).then(
      () => false,
      () => true,
    );
    const got = await Promise.race([passed, late]);
    stop.abort(new Error('no longer waiting'));
    if (got) return;
    const index = queue.indexOf(pass);
    // The slot was passed to us in the very moment we gave up: hand it on.
    if (index < 0) this.#passSlot(compartment);
    else queue.splice(index, 1);
    throw new GrantryError('provider_unavailable', 'Too many calls to this provider are waiting.', {
      retryAfterMs: this.#times.breakerPauseMs,
    });
  }

  #passSlot(compartment: Compartment): void {
    // What was taken beyond the usual is for the urgent alone.
    const isUsual = compartment.calls <= limits.providerCallsMax;
    const next = compartment.urgent.shift() ?? (isUsual ? compartment.waiting.shift() : undefined);
    if (next === undefined) compartment.calls -= 1;
    else next();
  }

  #note(compartment: Compartment, health: CallHealth): void {
    if (health === 'good') {
      compartment.failures = 0;
      return;
    }
    compartment.failures += 1;
    if (compartment.failures < limits.breakerFailures) return;
    const doublings = Math.min(limits.breakerDoublingsMax, compartment.failures - limits.breakerFailures);
    const pauseMs = this.#times.breakerPauseMs * 2 ** doublings * (0.75 + randomFraction(this.#world) / 2);
    compartment.openUntil = this.#world.monotonic() + pauseMs;
  }
}

interface Compartment {
  /** Slots taken. */
  calls: number;
  readonly urgent: (() => void)[];
  readonly waiting: (() => void)[];
  /** In a row. */
  failures: number;
  /** By `World.monotonic`. */
  openUntil: number;
  /** One call is finding out whether the provider is back. */
  probing: boolean;
  /** Retries that are allowed now, and when time last allowed some, by `World.monotonic`. */
  retries: number;
  allowedAt: number;
}

function allow(compartment: Compartment, retries: number): void {
  compartment.retries = Math.min(limits.retryBudgetMax, compartment.retries + retries);
}
