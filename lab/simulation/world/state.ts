import { copyFileSync, rmSync } from 'node:fs';
import { createSimulator, demoClient, type Simulator } from '../../../src/simulator/index.ts';
import type { Owner } from '../../../src/vault/spool/owner.ts';
import { Coverage } from '../host/coverage.ts';
import type { Dice } from '../host/dice.ts';
import { Disk, spoolDirectory } from '../host/disk.ts';
import { Scheduler } from '../host/scheduler.ts';
import { type FaultKind, type Focus, planSwarm, type SwarmPlan } from '../host/swarm.ts';
import { Judge, type JudgedGrant } from '../judge/judge.ts';
import { type Bystander, sqliteBystander } from '../judge/rows.ts';

export interface WorldOptions {
  /** The directory in which the run makes its database file. */
  readonly directory: string;
  /** A database file with Grantry's schema and no rows. */
  readonly template: string;
  /** A fresh PostgreSQL database instead of the file. */
  readonly postgres?: { readonly url: string; readonly bystander: Bystander } | undefined;
  readonly focus?: Focus | null | undefined;
  readonly trace?: ((line: string) => void) | undefined;
}

/** As in the vault's times. */
const renewedLeaseMs = 4_000;
/** 2026-01-01, so that a seed means the same on every day. */
const epochMs = 1_767_225_600_000;

/** The state that every part of a simulated world reads: plan, clock, disk, providers, judge, and the faults in force. */
export class WorldState {
  readonly plan: SwarmPlan;
  readonly scheduler: Scheduler;
  readonly coverage = new Coverage();
  readonly disk = new Disk();
  readonly simulator: Simulator;
  readonly judge: Judge;
  /** Authorization codes that are under way. */
  readonly codes = new Map<string, JudgedGrant>();
  /** Codes for which the provider gives no refresh token. */
  readonly bareCodes = new Set<string>();
  /** When a process began to redeem a code, and when it first sent it. */
  readonly redeemed = new Map<string, { readonly begunAt: number; sentAt: number | null }>();
  /** The grant whose commits the database refuses, and until when. */
  refused: { readonly grant: JudgedGrant; readonly until: number } | null = null;
  /** A commit that waits for the disk holds others up until then. */
  storeBusyUntil = 0;
  /** Owners that no process can see to be dead. */
  readonly unseen: Owner[] = [];
  /** As a vault names it. */
  readonly database: string;
  readonly kind: 'sqlite' | 'postgres';
  /** False before and after the faults: then no fault strikes. */
  chaos = true;
  /** The provider refuses every refresh until then. */
  lyingUntil = 0;
  get jumpedWildlyAt(): number {
    return this.judge.clocks.jumpedWildlyAt;
  }
  smallJumpsMs = 0;
  healedAt = 0;
  #jumpedMs = 0;
  readonly #faultDice: Dice;

  constructor(dice: Dice, options: WorldOptions) {
    this.#faultDice = dice.fork();
    this.plan = planSwarm(dice.fork(), options.focus ?? null);
    this.scheduler = new Scheduler(options.trace ?? null);
    const providerDice = dice.fork();
    this.simulator = createSimulator({
      profiles: [...this.plan.profiles],
      autoApprove: true,
      now: () => epochMs + this.scheduler.now,
      random: (count) => providerDice.bytes(count),
      sleep: () => Promise.resolve(),
    });
    const { postgres } = options;
    const file = `${options.directory}/world.db`;
    this.kind = postgres === undefined ? 'sqlite' : 'postgres';
    this.database = postgres?.url ?? `sqlite:${file}`;
    if (postgres === undefined) {
      for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
      copyFileSync(options.template, file);
    }
    this.judge = new Judge({
      grants: this.plan.grants.filter(isFirst),
      simulator: this.simulator,
      coverage: this.coverage,
      bystander: postgres?.bystander ?? sqliteBystander(file),
      scheduler: this.scheduler,
      leaseMs: renewedLeaseMs,
      // Two processes with a skew of 2 s, and small jumps that sum up to 3 s each way.
      clockSlackMs: (this.plan.faults.skew > 0 ? 4_000 : 0) + (this.plan.faults.clock_jump > 0 ? 6_000 : 0),
    });
  }

  /** The host's clock. */
  wallClock(): number {
    return epochMs + this.scheduler.now + this.#jumpedMs;
  }

  jumpClock(ms: number, kind: 'small' | 'wild'): void {
    this.#jumpedMs += ms;
    if (kind === 'small') this.smallJumpsMs += ms;
    else this.judge.clocks.jumpedWildlyAt = this.scheduler.now;
  }

  /** Time by which the clock was set back: events at a wall-clock time come that much later. */
  get behindMs(): number {
    return Math.max(0, -this.#jumpedMs);
  }

  /** Decides if a fault of this kind happens now; `share` is its usual frequency. */
  strikes(kind: FaultKind, share: number): boolean {
    if (!this.chaos || this.plan.faults[kind] === 0) return false;
    if (!this.#faultDice.chance(share * this.plan.faults[kind])) return false;
    this.coverage.count(`fault: ${kind}`);
    return true;
  }

  isLying(): boolean {
    return this.lyingUntil > this.scheduler.now;
  }

  /** The database refuses commits of this grant now. */
  refuses(grant: JudgedGrant): boolean {
    return this.refused?.grant === grant && this.refused.until > this.scheduler.now;
  }

  /** At a strict provider two refreshes of one grant must never overlap. */
  isStrict(grant: JudgedGrant): boolean {
    const rotation = this.plan.profiles.find(({ id }) => id === grant.provider)?.rotation;
    return rotation?.kind === 'strict';
  }

  isSpooled(attemptId: string): boolean {
    return this.disk
      .below(spoolDirectory)
      .some((path) => path.includes(`.${attemptId}.`) && !path.endsWith('.waiting'));
  }

  /** A user consents: the provider makes the grant's tokens. */
  consent(grant: JudgedGrant): { refreshToken: string; accessToken: string; expiresIn: number } {
    const { accessToken, refreshToken, expiresAt } = this.simulator.mintTokens({
      profile: grant.provider,
      clientId: demoClient.clientId,
      user: 'user@us.example',
      scopes: ['read'],
    });
    this.judge.issued(grant, { refreshToken, accessToken, delivered: true, spent: null });
    const family = this.judge.familyOf(refreshToken);
    if (family !== undefined) grant.handedIn.add(family);
    const expiresIn = Math.max(1, Math.floor((expiresAt - epochMs - this.scheduler.now) / 1_000));
    return { refreshToken, accessToken, expiresIn };
  }
}

function isFirst<T extends { tenant: string; provider: string }>(grant: T, index: number, all: readonly T[]): boolean {
  return all.findIndex((each) => each.tenant === grant.tenant && each.provider === grant.provider) === index;
}
