import type { SimulatorClock } from './clock.ts';
import type { Endpoint } from './endpoints.ts';
import type { Incoming } from './request.ts';

/** Effect of a fault. With `before` the server never acts on the request, with `after` it does. */
export type FaultEffect =
  | { readonly kind: 'delay'; readonly ms: number; readonly when: 'before' | 'after' }
  | { readonly kind: 'hang'; readonly when: 'before' | 'after' }
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' }
  /** Sends half of the answer, then breaks the connection; always after processing. */
  | { readonly kind: 'cut' }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly when: 'before' | 'after';
      readonly body?: string | undefined;
      readonly contentType?: string | undefined;
      readonly headers?: Readonly<Record<string, string>> | undefined;
    }
  | { readonly kind: 'html'; readonly status?: number | undefined; readonly when: 'before' | 'after' }
  | { readonly kind: 'redirect'; readonly location: string }
  /** Pads the answer with this many bytes before its last brace. */
  | { readonly kind: 'huge'; readonly bytes: number }
  /** Sends this many zero bytes, compressed. */
  | { readonly kind: 'gzip_bomb'; readonly bytes: number }
  | { readonly kind: 'content_type'; readonly value: string }
  /** Replaces, adds or removes members of a JSON answer. */
  | {
      readonly kind: 'patch';
      readonly set?: Readonly<Record<string, unknown>> | undefined;
      readonly remove?: readonly string[] | undefined;
    }
  /** Refuses a valid request without processing it. */
  | {
      readonly kind: 'error';
      readonly error: string;
      readonly status?: number | undefined;
      readonly description?: string | undefined;
    }
  /** Sends the server's throttle answer below its limit, without processing the request. */
  | { readonly kind: 'throttle' };

/** A fault on request: the requests it selects, and its effect on them. */
export interface Fault {
  /** Selects any endpoint when left out. */
  readonly endpoint?: Endpoint | undefined;
  readonly profile?: string | undefined;
  readonly dc?: string | undefined;
  readonly clientId?: string | undefined;
  readonly grantType?: string | undefined;
  /** Prefix of the path. */
  readonly path?: string | undefined;
  /** Number of matching requests to let through first; defaults to 0. */
  readonly skip?: number | undefined;
  /** Number of requests to affect; defaults to 1, or to no limit with `forMs`. */
  readonly times?: number | undefined;
  /** Ends the fault this many milliseconds of simulator time after it was added. */
  readonly forMs?: number | undefined;
  readonly effect: FaultEffect;
}

/** A fault that waits for its request. */
export interface PendingFault {
  readonly id: number;
  readonly fault: Fault;
  readonly left: number;
  readonly skip: number;
  readonly until: number | null;
}

/** Queue of faults. The first one that matches a request applies to it. */
export class Faults {
  readonly #clock: SimulatorClock;
  #pending: { id: number; fault: Fault; left: number; skip: number; until: number | null }[] = [];
  #count = 0;

  constructor(clock: SimulatorClock) {
    this.#clock = clock;
  }

  /** Adds a fault. @returns its id, for {@link remove} */
  add(fault: Fault): number {
    this.#count += 1;
    this.#pending.push({
      id: this.#count,
      fault,
      left: fault.times ?? (fault.forMs === undefined ? 1 : Number.POSITIVE_INFINITY),
      skip: fault.skip ?? 0,
      until: fault.forMs === undefined ? null : this.#clock.now() + fault.forMs,
    });
    return this.#count;
  }

  /** Removes a waiting fault. @returns whether it was still waiting */
  remove(id: number): boolean {
    const before = this.#pending.length;
    this.#pending = this.#pending.filter((each) => each.id !== id);
    return this.#pending.length < before;
  }

  /** Removes every waiting fault. */
  clear(): void {
    this.#pending = [];
  }

  /** Lists the faults that still wait for a request. */
  pending(): readonly PendingFault[] {
    return this.#pending.map((each) => ({ ...each }));
  }

  /**
   * Returns the effect for this request, if any, and counts its use.
   *
   * @internal
   */
  take(incoming: Incoming): FaultEffect | null {
    if (this.#pending.length === 0) return null;
    const now = this.#clock.now();
    this.#pending = this.#pending.filter((each) => each.until === null || each.until > now);
    for (const each of this.#pending) {
      if (!matches(each.fault, incoming)) continue;
      if (each.skip > 0) {
        each.skip -= 1;
        continue;
      }
      each.left -= 1;
      if (each.left <= 0) this.remove(each.id);
      return each.fault.effect;
    }
    return null;
  }
}

function matches(fault: Fault, incoming: Incoming): boolean {
  return (
    (fault.endpoint === undefined || fault.endpoint === incoming.endpoint) &&
    (fault.profile === undefined || fault.profile === incoming.site.profile) &&
    (fault.dc === undefined || fault.dc === incoming.site.dc) &&
    (fault.clientId === undefined || fault.clientId === incoming.clientId) &&
    (fault.grantType === undefined || fault.grantType === incoming.parameters.get('grant_type')) &&
    (fault.path === undefined || incoming.url.pathname.startsWith(fault.path))
  );
}
