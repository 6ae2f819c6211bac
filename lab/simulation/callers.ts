import { GrantryError, isGrantryError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import type { AccessToken } from '../../src/vault/types.ts';
import type { Dice } from './dice.ts';
import { type JudgedGrant, nameOf } from './judge.ts';
import type { Life } from './life.ts';
import type { Simulation } from './simulation.ts';
import { finalVerdict } from './verdict.ts';

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
const lastLookMs = 1_800_000;
/** Hand-out elsewhere ends this soon after a disconnect. */
const disconnectMs = 5_000;

/** Everybody who asks the vaults for tokens and uses them, and what they must never see. */
export class Callers {
  readonly #simulation: Simulation;
  readonly #dice: Dice;
  readonly #open = new Set<OpenCall>();
  /** The newest generation that each life was given, by grant. */
  readonly #newest = new Map<string, number>();

  constructor(simulation: Simulation, dice: Dice) {
    this.#simulation = simulation;
    this.#dice = dice;
  }

  start(life: Life): void {
    for (let caller = 0; caller < 2; caller += 1) {
      this.#calling(life, this.#dice.fork()).catch((error: unknown) => {
        this.#simulation.judge.violated(`a caller of ${life.name} failed: ${describe(error)}`);
      });
    }
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

  get open(): number {
    return this.#open.size;
  }

  loggerOf(life: Life): Logger {
    const { coverage, scheduler } = this.#simulation;
    const line = (level: string) => (message: string, fields?: object) => {
      scheduler.note(
        life,
        `log ${level}: ${message} ${JSON.stringify(fields ?? {}).replace(/"grant":"[^"]*"/, '"grant"')}`,
      );
      if (message === 'a spooled answer was adopted') coverage.count('spool adoptions');
      else if (level !== 'info') coverage.count(`log: ${message}`);
    };
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }

  /** One call, watched from its start to its end. */
  async call(
    life: Life,
    grant: JudgedGrant,
    what: string,
    ask: () => Promise<AccessToken>,
    rejected?: number,
  ): Promise<AccessToken> {
    const { scheduler, judge } = this.#simulation;
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
      else if (error.code === 'internal' || error.code === 'integrity_failed') {
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

  async heal(limitMs: number): Promise<void> {
    const { scheduler, judge } = this.#simulation;
    const endsAt = scheduler.now + limitMs;
    let calmSince = scheduler.now;
    while (judge.violations.length === 0 && scheduler.now < endsAt && scheduler.now - calmSince < 8_000) {
      await scheduler.runUntil(scheduler.now + 2_000, () => judge.violations.length > 0);
      if (!this.#isSettled()) calmSince = scheduler.now;
    }
    for (const call of this.overdue()) judge.violated(`I5: ${call} never ended`);
    if (scheduler.now >= endsAt) {
      judge.violated(`I6: not settled after the faults ended: ${this.#unsettled().join(', ')}`);
    }
    this.#simulation.coverage.count('seconds until settled', Math.round((scheduler.now - endsAt + limitMs) / 1_000));
    if (judge.violations.length === 0) await this.#judgeAll();
  }

  async #judgeAll(): Promise<void> {
    const { scheduler, judge, lives } = this.#simulation;
    const life = lives.find(isServing);
    if (life === undefined) {
      judge.violated('I6: no process runs after the faults ended');
      return;
    }
    let finished = 0;
    for (const grant of judge.grants) {
      finalVerdict(this.#simulation, life, grant)
        .catch((error: unknown) => judge.violated(`the last look at ${nameOf(grant)} failed: ${describe(error)}`))
        .finally(() => {
          finished += 1;
        });
    }
    await scheduler.runUntil(
      scheduler.now + lastLookMs + this.#simulation.behindMs,
      () => finished === judge.grants.length,
    );
    if (finished < judge.grants.length) judge.violated('I6: the last look at a grant did not end');
  }

  async #calling(life: Life, dice: Dice): Promise<void> {
    const { plan } = this.#simulation;
    const busy = dice.chance(0.3);
    while (this.#simulation.chaos) {
      await life.sleep(dice.exponential(plan.callPauseMs * (busy ? 0.2 : 1)));
      if (!this.#simulation.chaos || life.vault === undefined) return;
      const grant = dice.pick(this.#simulation.judge.grants);
      try {
        await this.#callAndUse(life, grant, dice);
      } catch (error) {
        if (!isGrantryError(error)) throw error;
        this.#simulation.coverage.count(`caller got ${error.code}`);
        if (error.code === 'invalid_request') return;
      }
    }
  }

  async #callAndUse(life: Life, grant: JudgedGrant, dice: Dice): Promise<void> {
    const { vault } = life;
    if (vault === undefined) return;
    const key = { tenant: grant.tenant, provider: grant.provider };
    const options = dice.chance(0.25) ? { minValidity: dice.whole(0, 200) } : undefined;
    const token = await this.call(life, grant, 'getAccessToken', () => vault.getAccessToken(key, options));
    this.#simulation.coverage.count('tokens handed out');
    const accepted = dice.chance(0.8) ? await this.use(life, grant, token) : !dice.chance(0.2);
    if (accepted !== false) return;
    await this.reject(life, grant, token.generation);
    this.#simulation.coverage.count('tokens rejected');
  }

  /** Calls the provider's API. Undefined when no answer came. */
  async use(life: Life, grant: JudgedGrant, token: AccessToken): Promise<boolean | undefined> {
    const profile = this.#simulation.plan.profiles.find(({ id }) => id === grant.provider);
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
    const { judge, plan } = this.#simulation;
    const since = grant.disconnectedAt;
    if (since === null || startedAt <= since + disconnectMs * Math.max(1, plan.slowness / 10)) return;
    const { store_outage: outage, clock_jump: jump, wild_clock_jump: wild } = plan.faults;
    const excused = life.pausedMs > 0 || life.storeDownUntil > since || outage + jump + wild > 0;
    if (!excused)
      judge.violated(`${nameOf(grant)} was handed out ${Math.round(startedAt - since)} ms after its disconnect`);
  }

  #isSettled(): boolean {
    return this.#unsettled().length === 0;
  }

  #unsettled(): string[] {
    const { judge, lives } = this.#simulation;
    const doubtful = judge.grants
      .filter(({ row }) => row?.state === 'uncertain' || row?.state === 'suspect')
      .map((grant) => `${nameOf(grant)} is ${grant.row?.state ?? '?'}`);
    const down = lives.filter((life) => !isServing(life));
    return [...doubtful, ...down.map(() => 'a process is down'), ...[...this.#open].map(({ what }) => `${what} waits`)];
  }

  #waitedMs({ startedAt, life, pausedMs }: OpenCall): number {
    const pausing = life.paused ? this.#simulation.scheduler.now - life.pausedSince : 0;
    return this.#simulation.scheduler.now - startedAt - (life.pausedMs - pausedMs) - pausing;
  }

  /** A database that others keep busy, or a slow machine, comes on top. */
  #allowedMs(): number {
    const { plan } = this.#simulation;
    const busyMs = plan.faults.pause > 0 ? 45_000 : 6_000;
    return callMsMax + busyMs * (plan.slowness > 1 ? 2 : 1);
  }
}

/** It runs, and was not told to end: a vault that is closing finishes what it began and refuses what is new. */
function isServing(life: Life | undefined): life is Life {
  return life !== undefined && !life.dead && !life.closing && life.vault !== undefined;
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ''}` : String(error);
}
