import type { Acting } from '../../base/acting.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { refusedAction } from './place.ts';

/** A request that was refused because of who made it, or for whom. */
export interface Refusal {
  readonly acting: Acting;
  /** `unauthorized` or `forbidden`. */
  readonly code: string;
  readonly method: string;
  readonly route: string;
  readonly tenant: string | null;
}

interface CountedRefusal {
  readonly refusal: Refusal;
  readonly firstAt: number;
  lastAt: number;
  count: number;
}

/** Different refusals that one write tells. Beyond it they are only counted: strangers must not fill the log. */
const toldMax = 100;

/** Counts refusals, so that the log tells them within seconds, and never more than it can bear. */
export class Refusals {
  #counted = new Map<string, CountedRefusal>();
  #others = 0;

  add(refusal: Refusal, now: number): void {
    const { acting, code, method, route, tenant } = refusal;
    const name = [acting.actor.id, acting.source, code, method, route, tenant].join('\0');
    const known = this.#counted.get(name);
    if (known !== undefined) {
      known.count += 1;
      known.lastAt = now;
    } else if (this.#counted.size < toldMax) {
      this.#counted.set(name, { refusal, firstAt: now, lastAt: now, count: 1 });
    } else this.#others += 1;
  }

  get isEmpty(): boolean {
    return this.#counted.size === 0;
  }

  /** Writes what was counted. What cannot be written is dropped: a flood must not fill the memory. */
  async write(context: VaultContext): Promise<void> {
    const { audit } = context;
    const counted = [...this.#counted.values()];
    const others = this.#others;
    this.#counted = new Map();
    this.#others = 0;
    if (audit === undefined || counted.length === 0) return;
    const entries = counted.map(({ refusal, firstAt, lastAt, count }) => ({
      acting: refusal.acting,
      entry: {
        at: lastAt,
        tenant: refusal.tenant,
        provider: null,
        account: null,
        generation: null,
        action: refusedAction,
        outcome: 'refused' as const,
        code: refusal.code,
        reason: null,
        count,
        ...(count > 1 ? { firstAt, lastAt } : {}),
        details: { method: refusal.method, route: refusal.route, ...(others > 0 ? { others_not_told: others } : {}) },
      },
    }));
    await changing(context, ({ tx }) => audit.entries(tx, entries));
  }
}
