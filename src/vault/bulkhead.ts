import { GrantryError } from '../base/errors.ts';
import { FairQueue } from '../base/fair-queue.ts';
import { limits, type Times } from '../base/limits.ts';
import { randomFraction, type World } from '../base/world.ts';
import { type GrantRow, metadataOf } from '../storage/statements/grants.ts';
import { endsInTime } from './deadline.ts';
import { RetryBudgets } from './retry-budgets.ts';

/** Returns the name of a grant's compartment: its provider and data centre. */
export function compartmentOf(row: Pick<GrantRow, 'provider' | 'metadata'>): string {
  const dc = metadataOf(row)['dc'];
  return typeof dc === 'string' ? `${row.provider}/${dc}` : row.provider;
}

/**
 * Returns the name of a grant's retry budget: its compartment. After a mistake of its app, such as a wrong secret, it is that
 * app's own budget, so that one broken app takes no retry of another.
 */
export function retryBudgetOf(row: Pick<GrantRow, 'provider' | 'metadata' | 'reason'>, clientId: string): string {
  const compartment = compartmentOf(row);
  return row.reason === 'provider_misconfigured' ? `${compartment} for the client ${clientId}` : compartment;
}

/** Outcome of a call, as far as the provider's health is concerned. */
export type CallHealth = 'good' | 'bad';

/**
 * Isolates providers from each other: per provider and data centre, a limit of concurrent calls and a circuit breaker.
 *
 * A call takes its slot before its lease, so a waiting call holds nothing that others need. Tenants take turns for free slots:
 * one that refreshes many grants at once does not delay another's by more than one turn. The breaker opens after
 * {@link limits}.breakerFailures consecutive failures. From the first failure on, one call at a time probes the provider,
 * in turns that a pause of seconds separates. A probe without an answer does not delay the next one.
 */
export class Bulkheads {
  readonly #world: World;
  readonly #times: Times;
  readonly #compartments = new Map<string, Compartment>();
  readonly retries: RetryBudgets;

  constructor(world: World, times: Times) {
    this.#world = world;
    this.#times = times;
    this.retries = new RetryBudgets(world, times);
  }

  /**
   * Runs a call in its provider's compartment, after waiting for a free slot. An `urgent` call has a deadline at the
   * provider: it passes an open breaker, precedes all waiting calls, and may use {@link limits}.urgentCallsMax more slots.
   * A `probe` has taken its turn with {@link takeProbe}, and passes an open breaker too.
   *
   * @throws {GrantryError} `provider_unavailable` at once while the breaker is open, or if no slot is free in time
   */
  async run<T>(
    name: string,
    call: (report: (health: CallHealth) => void) => Promise<T>,
    { tenant, urgent = false, probe = false }: { tenant: string; urgent?: boolean; probe?: boolean },
  ): Promise<T> {
    const compartment = this.#compartment(name);
    const isAdmitted = urgent || probe || this.#admit(name, compartment);
    await this.#takeSlot(name, compartment, { tenant, urgent });
    try {
      // The breaker may have opened during the wait.
      if (!isAdmitted) this.#admit(name, compartment);
      return await call((health) => this.#note(compartment, health));
    } finally {
      this.#passSlot(compartment);
    }
  }

  /**
   * Returns the time until a grant in back-off may be asked to learn if its provider is well again. Infinite if the
   * provider served another grant lately: then the failures are the grant's own.
   */
  probeInMs(name: string): number {
    const { failures, servedAt, pausedUntil, askedUntil } = this.#compartment(name);
    const now = this.#world.monotonic();
    if (failures === 0 && now - servedAt < this.#times.servedLatelyMs) return Number.POSITIVE_INFINITY;
    return Math.max(0, pausedUntil - now, askedUntil - now);
  }

  /** Notes a pause that the provider asked for: in spite of a back-off no grant is asked before its end. */
  notePause(name: string, ms: number): void {
    const compartment = this.#compartment(name);
    compartment.askedUntil = Math.max(compartment.askedUntil, this.#world.monotonic() + ms);
  }

  /** Takes the turn to probe a provider. The next one comes after a pause, whether this one gets an answer or not. */
  takeProbe(name: string): void {
    this.#pause(this.#compartment(name));
  }

  /** Tells, once in a while, that a grant was served whose provider had failed: others may be waiting for that. */
  isRelease(name: string): boolean {
    const compartment = this.#compartment(name);
    const now = this.#world.monotonic();
    if (now - compartment.releasedAt < this.#times.releaseSpreadMs) return false;
    compartment.releasedAt = now;
    return true;
  }

  /** Returns the state of every compartment, for reports. */
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
      urgent: new FairQueue(),
      waiting: new FairQueue(),
      failures: 0,
      pausedUntil: 0,
      askedUntil: 0,
      servedAt: Number.NEGATIVE_INFINITY,
      releasedAt: Number.NEGATIVE_INFINITY,
    };
    this.#compartments.set(name, made);
    return made;
  }

  /** Returns true if the breaker is open and this call takes the turn to probe. Throws if it is not its turn. */
  #admit(name: string, compartment: Compartment): boolean {
    if (compartment.failures < limits.breakerFailures) return false;
    const leftMs = compartment.pausedUntil - this.#world.monotonic();
    if (leftMs <= 0) {
      this.#pause(compartment);
      return true;
    }
    throw new GrantryError('provider_unavailable', `Circuit breaker open: ${name} failed repeatedly.`, {
      retryAfterMs: Math.max(leftMs, this.#times.breakerPauseMs),
    });
  }

  async #takeSlot(
    name: string,
    compartment: Compartment,
    { tenant, urgent }: { tenant: string; urgent: boolean },
  ): Promise<void> {
    const callsMax = limits.providerCallsMax + (urgent ? limits.urgentCallsMax : 0);
    if (compartment.calls < callsMax) {
      compartment.calls += 1;
      return;
    }
    const { promise: passed, resolve: pass } = Promise.withResolvers<void>();
    const queue = urgent ? compartment.urgent : compartment.waiting;
    queue.add(tenant, pass);
    if (await endsInTime(this.#world, passed, this.#times.callerWaitMs)) return;
    // The slot was passed to this call just as its wait ended, so pass it on.
    if (!queue.remove(tenant, pass)) this.#passSlot(compartment);
    throw new GrantryError('provider_unavailable', `Too many calls to ${name} are waiting.`, {
      retryAfterMs: this.#times.breakerPauseMs,
    });
  }

  #passSlot(compartment: Compartment): void {
    // Slots beyond the usual limit are only for urgent calls.
    const isUsual = compartment.calls <= limits.providerCallsMax;
    const next = compartment.urgent.take() ?? (isUsual ? compartment.waiting.take() : undefined);
    if (next === undefined) compartment.calls -= 1;
    else next();
  }

  #note(compartment: Compartment, health: CallHealth): void {
    if (health === 'good') {
      compartment.failures = 0;
      compartment.servedAt = this.#world.monotonic();
      return;
    }
    compartment.failures += 1;
    this.#pause(compartment);
  }

  /** Begins a pause that doubles with each failure, up to some seconds. Callers are told the longest: it is never exceeded. */
  #pause(compartment: Compartment): void {
    const { breakerPauseMs, breakerPauseMsMax } = this.#times;
    const doubledMs = Math.min(breakerPauseMsMax, breakerPauseMs * 2 ** Math.max(0, compartment.failures - 1));
    compartment.pausedUntil = this.#world.monotonic() + doubledMs * (0.75 + randomFraction(this.#world) / 4);
  }
}

interface Compartment {
  /** Slots taken. */
  calls: number;
  readonly urgent: FairQueue<() => void>;
  readonly waiting: FairQueue<() => void>;
  /** Consecutive failures. */
  failures: number;
  /** When the next call may probe, by `World.monotonic`. */
  pausedUntil: number;
  /** The end of the pause that the provider asked for, by `World.monotonic`. */
  askedUntil: number;
  /** When the provider last answered well, and when its grants in back-off were last released. */
  servedAt: number;
  releasedAt: number;
}
