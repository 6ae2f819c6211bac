import type { SimulatorClock } from './clock.ts';
import type { Endpoint } from './endpoints.ts';
import type { Incoming } from './request.ts';

/** What goes wrong. `before` means that the server never acted on the request, `after` that it did. */
export type FaultEffect =
  | { readonly kind: 'delay'; readonly ms: number; readonly when: 'before' | 'after' }
  | { readonly kind: 'hang'; readonly when: 'before' | 'after' }
  | { readonly kind: 'reset'; readonly when: 'before' | 'after' }
  /** Half of the answer arrives, then the connection is gone. Always after processing. */
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
  /** The answer, with so many bytes of padding in front of its last brace. */
  | { readonly kind: 'huge'; readonly bytes: number }
  /** So many bytes of nothing, compressed. */
  | { readonly kind: 'gzip_bomb'; readonly bytes: number }
  | { readonly kind: 'content_type'; readonly value: string }
  /** Members of a JSON answer replaced, added or taken out. */
  | {
      readonly kind: 'patch';
      readonly set?: Readonly<Record<string, unknown>> | undefined;
      readonly remove?: readonly string[] | undefined;
    }
  /** A refusal although nothing is wrong; not processed. */
  | {
      readonly kind: 'error';
      readonly error: string;
      readonly status?: number | undefined;
      readonly description?: string | undefined;
    }
  /** The server's own throttle answer although no limit was reached; not processed. */
  | { readonly kind: 'throttle' };

/** A fault on request: which requests it meets, and what happens to them. */
export interface Fault {
  /** Any when left out. */
  readonly endpoint?: Endpoint | undefined;
  readonly profile?: string | undefined;
  readonly dc?: string | undefined;
  readonly clientId?: string | undefined;
  readonly grantType?: string | undefined;
  /** The path begins with this. */
  readonly path?: string | undefined;
  /** Lets so many matching requests pass first; 0 when left out. */
  readonly skip?: number | undefined;
  /** Meets so many requests; 1 when left out, `forMs` alone has no count. */
  readonly times?: number | undefined;
  /** Ends so many milliseconds of simulator time after it was set. */
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

/** The queue of faults. The first that matches a request is applied to it. */
export class Faults {
  readonly #clock: SimulatorClock;
  #pending: { id: number; fault: Fault; left: number; skip: number; until: number | null }[] = [];
  #count = 0;

  constructor(clock: SimulatorClock) {
    this.#clock = clock;
  }

  /** Queues a fault. @returns its id, for {@link remove} */
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

  remove(id: number): boolean {
    const before = this.#pending.length;
    this.#pending = this.#pending.filter((each) => each.id !== id);
    return this.#pending.length < before;
  }

  clear(): void {
    this.#pending = [];
  }

  pending(): readonly PendingFault[] {
    return this.#pending.map((each) => ({ ...each }));
  }

  /** The effect for this request, if any; counts it as used. */
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
