import { GrantryError } from '../../src/base/errors.ts';
import type { AccessToken } from '../../src/vault/types.ts';
import { type JudgedGrant, nameOf } from './judge/judge.ts';
import type { Life } from './world/life.ts';
import type { WorldState } from './world/state.ts';

interface OpenCall {
  readonly life: Life;
  readonly grant: JudgedGrant;
  readonly what: string;
  readonly startedAt: number;
  readonly pausedMs: number;
  readonly newest: number;
}

/** No caller waits longer, pauses of its own process left out; the rest is for a database that is busy or slow. */
const callMsMax = 30_000;
/** Hand-out elsewhere ends this soon after a disconnect. */
const disconnectMs = 5_000;

/** Every call to a vault, watched from its start to its end, and the outcomes that no caller may see. */
export class Calls {
  readonly #state: WorldState;
  readonly #open = new Set<OpenCall>();
  /** The newest generation that each process handed out, by grant. */
  readonly #newest = new Map<string, number>();

  constructor(state: WorldState) {
    this.#state = state;
  }

  died(life: Life): void {
    for (const call of this.#open) if (call.life === life) this.#open.delete(call);
  }

  /** Calls of living processes that have waited too long. */
  overdue(): readonly string[] {
    return [...this.#open]
      .filter((call) => this.#waitedMs(call) > this.#allowedMs())
      .map(({ life, what, grant }) => `${what} of ${nameOf(grant)} in ${life.name}`);
  }

  /** The methods that callers wait for. */
  waiting(): readonly string[] {
    return [...this.#open].map(({ what }) => what);
  }

  /** One call, watched from its start to its end. */
  async call(
    life: Life,
    grant: JudgedGrant,
    what: string,
    ask: () => Promise<AccessToken>,
    rejected?: number,
  ): Promise<AccessToken> {
    const { scheduler, judge } = this.#state;
    const name = `${life.name} ${grant.index}`;
    const newest = this.#newest.get(name) ?? 0;
    const call: OpenCall = { life, grant, what, startedAt: scheduler.now, pausedMs: life.pausedMs, newest };
    this.#open.add(call);
    try {
      const token = await ask();
      judge.handedOut(grant, token, rejected);
      if (token.generation < newest)
        judge.violated(`I3: ${name} was given generation ${token.generation} after ${newest}`);
      this.#newest.set(name, Math.max(token.generation, this.#newest.get(name) ?? 0));
      this.#checkDisconnected(call);
      return token;
    } catch (error) {
      if (!(error instanceof GrantryError)) judge.violated(`I5: ${what} failed with ${describe(error)}`);
      else if (error.code === 'internal' && this.#state.refused?.grant === grant) {
        this.#state.coverage.count('a caller was told of a refused commit');
      } else if (error.code === 'internal' || error.code === 'integrity_failed') {
        judge.violated(`${what} of ${nameOf(grant)} failed with ${error.code}: ${error.message}`);
      }
      throw error;
    } finally {
      this.#open.delete(call);
      const waitedMs = this.#waitedMs(call);
      if (waitedMs > this.#allowedMs())
        judge.violated(`I5: ${what} of ${nameOf(grant)} in ${life.name} took ${Math.round(waitedMs)} ms`);
    }
  }

  /** Reports a generation as refused: what comes back must be a later one. */
  async reject(life: Life, grant: JudgedGrant, generation: number): Promise<AccessToken> {
    const { vault } = life;
    if (vault === undefined) throw new Error(`${life.name} has no vault`);
    const key = { tenant: grant.tenant, provider: grant.provider };
    const ask = (): Promise<AccessToken> => vault.rejectAccessToken(key, generation);
    return this.call(life, grant, 'rejectAccessToken', ask, generation);
  }

  /** Calls the provider's API. Undefined when no answer came. */
  async use(life: Life, grant: JudgedGrant, token: AccessToken): Promise<boolean | undefined> {
    const profile = this.#state.plan.profiles.find(({ id }) => id === grant.provider);
    try {
      const response = await life.world.fetch(`${profile?.origin ?? ''}/api/organization`, {
        method: 'GET',
        headers: { authorization: `Bearer ${token.accessToken}` },
      });
      return response.status === 200;
    } catch {
      return undefined;
    }
  }

  /** Hand-out ends everywhere soon after a disconnect, where the database can be read. */
  #checkDisconnected({ grant, life, startedAt }: OpenCall): void {
    const { judge, plan } = this.#state;
    const since = grant.disconnectedAt;
    if (since === null || startedAt <= since + disconnectMs * Math.max(1, plan.slowness / 10)) return;
    const { store_outage: outage, clock_jump: jump, wild_clock_jump: wild } = plan.faults;
    const excused = life.pausedMs > 0 || life.storeDownUntil > since || outage + jump + wild > 0;
    if (excused)
      judge.excuse('a hand-out after a disconnect: the process was stopped, or its clock or database failed');
    else judge.violated(`${nameOf(grant)} was handed out ${Math.round(startedAt - since)} ms after its disconnect`);
  }

  #waitedMs({ startedAt, life, pausedMs }: OpenCall): number {
    const pausing = life.paused ? this.#state.scheduler.now - life.pausedSince : 0;
    return this.#state.scheduler.now - startedAt - (life.pausedMs - pausedMs) - pausing;
  }

  /** A database that others keep busy, or a slow machine, comes on top. */
  #allowedMs(): number {
    const { plan } = this.#state;
    const busyMs = plan.faults.pause + plan.faults.slow_commit > 0 ? 45_000 : 6_000;
    return callMsMax + busyMs * (plan.slowness > 1 ? 2 : 1);
  }
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ''}` : String(error);
}
