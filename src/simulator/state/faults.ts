import { z } from 'zod';
import type { SimulatorClock } from './clock.ts';
import { endpoints, type Incoming } from './request.ts';
import { count, httpStatus, text } from './schema-parts.ts';

const when = z.enum(['before', 'after']);

const effectSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('delay'), ms: count, when }),
  z.strictObject({ kind: z.literal('hang'), when }),
  z.strictObject({ kind: z.literal('reset'), when }),
  /** Sends half of the answer, then breaks the connection; always after processing. */
  z.strictObject({ kind: z.literal('cut') }),
  z.strictObject({
    kind: z.literal('status'),
    status: httpStatus,
    when,
    body: z.string().max(1_048_576).optional(),
    contentType: text.optional(),
    headers: z.record(text, z.string()).optional(),
  }),
  z.strictObject({ kind: z.literal('html'), status: httpStatus.optional(), when }),
  z.strictObject({ kind: z.literal('redirect'), location: text }),
  /** Pads the answer with this many bytes before its last brace. */
  z.strictObject({ kind: z.literal('huge'), bytes: count.max(1e9) }),
  /** Sends this many zero bytes, compressed. */
  z.strictObject({ kind: z.literal('gzip_bomb'), bytes: count.max(2e8) }),
  z.strictObject({ kind: z.literal('content_type'), value: text }),
  /** Puts text around the answer, as a server does that prints its own warnings. */
  z.strictObject({ kind: z.literal('surround'), before: text.optional(), after: text.optional() }),
  /** Replaces, adds or removes members of a JSON answer. */
  z.strictObject({
    kind: z.literal('patch'),
    set: z.record(text, z.unknown()).optional(),
    remove: z.array(text).readonly().optional(),
  }),
  /** Refuses a valid request without processing it. */
  z.strictObject({
    kind: z.literal('error'),
    error: text,
    status: httpStatus.optional(),
    description: text.optional(),
  }),
  /** Sends the server's throttle answer below its limit, without processing the request. */
  z.strictObject({ kind: z.literal('throttle') }),
]);

export const faultSchema = z.strictObject({
  /** Selects any endpoint when left out. */
  endpoint: z.enum(endpoints).optional(),
  profile: text.optional(),
  dc: text.optional(),
  clientId: text.optional(),
  grantType: text.optional(),
  /** Prefix of the path. */
  path: text.optional(),
  /** Number of matching requests to let through first; defaults to 0. */
  skip: count.optional(),
  /** Number of requests to affect; defaults to 1, or to no limit with `forMs`. */
  times: count.optional(),
  /** Ends the fault this many milliseconds of simulator time after it was added. */
  forMs: count.optional(),
  effect: effectSchema,
});

/**
 * Effect of a fault. With `before` the server never acts on the request, with `after` it does.
 *
 * @useDeclaredType
 */
export type FaultEffect = Readonly<z.output<typeof effectSchema>>;
/**
 * A fault on request: the requests it selects, and its effect on them.
 *
 * @useDeclaredType
 */
export type Fault = Readonly<z.output<typeof faultSchema>>;

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
