import type { Acting } from '../../base/acting.ts';
import { namePattern } from '../../base/ids.ts';
import type { AuditWriter } from '../audit-writer.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { refusedAction } from './place.ts';

/** A request that was refused because of who made it, or for whom. */
export interface Refusal {
  /** Null for a sender without a good key. */
  readonly key: string | null;
  /** The address of the sender. */
  readonly address: string;
  /** `unauthorized` or `forbidden`. */
  readonly code: string;
  readonly method: string;
  readonly route: string;
  /** The tenant that the request names, as it was sent. */
  readonly tenant: string | null;
}

interface CountedRefusal {
  readonly refusal: Refusal;
  readonly firstAt: number;
  lastAt: number;
  count: number;
}

/** Different refusals of one key that a minute tells. Beyond it they are only counted, so that no key fills the log. */
const toldMax = 20;

/** Keys whose refusals a minute tells. */
const keysMax = 1_000;

/** Refusals of senders without a key are told once in this time, since there may be any number of senders. */
const strangersMs = 60_000;

/** Counts refusals, so that the log tells them within seconds, and never more than it can bear. */
export class Refusals {
  #counted = new Map<string, CountedRefusal>();
  #strangers = new Map<string, CountedRefusal>();
  /** Number of refusals of each key that this minute told. */
  #told = new Map<string, number>();
  #others = 0;
  #minuteAt = Number.NEGATIVE_INFINITY;

  add(refusal: Refusal, now: number): void {
    const { key, address, code, method, route } = refusal;
    if (key === null) return countIn(this.#strangers, code, refusal, now);
    const tenant = tenantOf(refusal);
    const name = [key, address, code, method, route, tenant].join('\0');
    const told = this.#told.get(key) ?? 0;
    if (!this.#counted.has(name) && (told >= toldMax || (told === 0 && this.#told.size >= keysMax))) {
      this.#others += 1;
      return;
    }
    if (!this.#counted.has(name)) this.#told.set(key, told + 1);
    countIn(this.#counted, name, refusal, now);
  }

  get isEmpty(): boolean {
    return this.#counted.size === 0 && this.#strangers.size === 0 && this.#others === 0;
  }

  /** Writes what was counted. What cannot be written is only in the metrics: a flood must not fill the memory. */
  async write(context: VaultContext): Promise<void> {
    const { audit, world } = context;
    const isNewMinute = Math.abs(world.now() - this.#minuteAt) >= strangersMs * (world.timeScale ?? 1);
    const counted = [...this.#counted.values(), ...(isNewMinute ? this.#strangers.values() : [])];
    this.#counted = new Map();
    if (isNewMinute) {
      this.#minuteAt = world.now();
      this.#strangers = new Map();
      this.#told = new Map();
    }
    if (audit === undefined || counted.length === 0) return;
    const others = this.#others;
    this.#others = 0;
    const entries = counted.map((each, at) => entryOf(each, at === 0 ? others : 0));
    await changing(context, ({ tx }) => audit.entries(tx, entries));
  }
}

function countIn(counts: Map<string, CountedRefusal>, name: string, refusal: Refusal, now: number): void {
  const known = counts.get(name);
  if (known === undefined) counts.set(name, { refusal, firstAt: now, lastAt: now, count: 1 });
  else {
    known.count += 1;
    known.lastAt = now;
  }
}

/** Anything may stand where a tenant is named; only a name is told. */
function tenantOf({ tenant }: Refusal): string | null {
  return tenant !== null && namePattern.test(tenant) ? tenant : null;
}

type Entries = Parameters<AuditWriter['entries']>[1];

function entryOf({ refusal, firstAt, lastAt, count }: CountedRefusal, others: number): Entries[number] {
  const { key, address, code, method, route } = refusal;
  // Without a key the address is a detail, so that any number of senders are one actor.
  const source = key === null ? 'http' : `http ${address}`;
  const acting: Acting = { actor: { kind: 'key', id: key ?? 'unknown', name: null }, source };
  return {
    acting,
    entry: {
      at: lastAt,
      tenant: key === null ? null : tenantOf(refusal),
      provider: null,
      account: null,
      generation: null,
      action: refusedAction,
      outcome: 'refused',
      code,
      reason: null,
      count,
      ...(count > 1 ? { firstAt, lastAt } : {}),
      details: {
        method,
        route,
        ...(key === null ? { address } : {}),
        ...(others > 0 ? { others_not_told: others } : {}),
      },
    },
  };
}
