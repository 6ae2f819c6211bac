import { copyFileSync, rmSync } from 'node:fs';
import { Secret } from '../../src/base/secret.ts';
import { createSimulator, demoClient, type Simulator } from '../../src/simulator/index.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import type { Vault } from '../../src/vault/types.ts';
import { startWorkers } from '../../src/workers/workers.ts';
import { Callers } from './callers.ts';
import { Chances } from './chances.ts';
import { Coverage } from './coverage.ts';
import { Dice } from './dice.ts';
import { Disk, spoolDirectory } from './disk.ts';
import { Judge, type JudgedGrant } from './judge.ts';
import { Life } from './life.ts';
import { Network } from './network.ts';
import { Operator } from './operator.ts';
import { forgetProcesses } from './ports/processes.ts';
import { Scheduler } from './scheduler.ts';
import { type FaultKind, type Focus, planSwarm, type SwarmPlan } from './swarm.ts';

/** Everything a run says about itself. */
export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly coverage: ReadonlyMap<string, number>;
  /** Of every event that happened, in its order. */
  readonly digest: string;
  readonly steps: number;
  readonly virtualMs: number;
}

export interface RunOptions {
  readonly seed: number;
  /** Where the run's database file is made. */
  readonly directory: string;
  /** A database file with Grantry's schema and nothing in it. */
  readonly template: string;
  readonly focus?: Focus | null | undefined;
  readonly trace?: ((line: string) => void) | undefined;
}

/** 2026-01-01, so that a seed means the same on every day. */
const epochMs = 1_767_225_600_000;
const healMs = 1_500_000;

/** One seed: several processes, their providers, and everything that goes wrong between them. */
export class Simulation {
  readonly plan: SwarmPlan;
  readonly scheduler: Scheduler;
  readonly coverage = new Coverage();
  readonly disk = new Disk();
  readonly simulator: Simulator;
  readonly network: Network;
  readonly judge: Judge;
  readonly callers: Callers;
  readonly chances: Chances;
  /** Authorization codes that are under way. */
  readonly codes = new Map<string, JudgedGrant>();
  readonly lives: (Life | undefined)[];
  readonly database: string;
  chaos = true;
  /** The provider refuses everything until then. */
  lyingUntil = 0;
  /** Until then it does so for longer than a refusal takes to be confirmed. */
  lyingLongUntil = 0;
  jumpedWildlyAt = Number.NEGATIVE_INFINITY;
  smallJumpsMs = 0;
  healedAt = 0;
  #jumpedMs = 0;
  #life = 0;
  readonly #dice: Dice;
  readonly #faultDice: Dice;

  constructor(options: RunOptions) {
    this.#dice = new Dice(options.seed);
    this.#faultDice = this.#dice.fork();
    this.plan = planSwarm(this.#dice.fork(), options.focus ?? null);
    this.scheduler = new Scheduler(options.trace ?? null);
    const providerDice = this.#dice.fork();
    this.simulator = createSimulator({
      profiles: [...this.plan.profiles],
      autoApprove: true,
      now: () => epochMs + this.scheduler.now,
      random: (count) => providerDice.bytes(count),
      sleep: () => Promise.resolve(),
    });
    this.network = new Network(this, this.simulator, this.#dice.fork());
    this.database = `${options.directory}/world.db`;
    for (const suffix of ['', '-wal', '-shm']) rmSync(this.database + suffix, { force: true });
    copyFileSync(options.template, this.database);
    this.judge = new Judge({
      grants: this.plan.grants.filter(isFirst),
      simulator: this.simulator,
      coverage: this.coverage,
      database: this.database,
      now: () => this.scheduler.now,
    });
    this.callers = new Callers(this, this.#dice.fork());
    this.chances = new Chances(this);
    this.lives = Array.from({ length: this.plan.processes });
  }

  /** The host's clock. */
  wallClock(): number {
    return epochMs + this.scheduler.now + this.#jumpedMs;
  }

  jumpClock(ms: number, kind: 'small' | 'wild'): void {
    this.#jumpedMs += ms;
    if (kind === 'small') this.smallJumpsMs += ms;
    else this.jumpedWildlyAt = this.scheduler.now;
  }

  /** The clock was put back: what was to happen at a certain time happens that much later. */
  get behindMs(): number {
    return Math.max(0, -this.#jumpedMs);
  }

  /** Whether a fault of this kind happens here and now; `share` is its usual frequency. */
  strikes(kind: FaultKind, share: number): boolean {
    if (!this.chaos || this.plan.faults[kind] === 0) return false;
    if (!this.#faultDice.chance(share * this.plan.faults[kind])) return false;
    this.coverage.count(`fault: ${kind}`);
    return true;
  }

  isLying(): boolean {
    return this.lyingUntil > this.scheduler.now;
  }

  isLyingLong(): boolean {
    return this.lyingLongUntil > this.scheduler.now;
  }

  /** A refresh at its provider must never meet another one. */
  isStrict(grant: JudgedGrant): boolean {
    const rotation = this.plan.profiles.find(({ id }) => id === grant.provider)?.rotation;
    return rotation?.kind === 'strict';
  }

  isSpooled(attemptId: string): boolean {
    const endings = [`.${attemptId}.answer`, `.${attemptId}.saved`];
    return this.disk.list(spoolDirectory).some((name) => endings.some((ending) => name.endsWith(ending)));
  }

  async run(seed: number): Promise<RunResult> {
    try {
      await this.#prepare();
      const operator = new Operator(this, this.#dice.fork());
      operator.plan();
      this.chances.watch();
      await this.scheduler.runUntil(this.scheduler.now + this.plan.chaosMs, () => this.judge.violations.length > 0);
      if (this.judge.violations.length === 0) await this.#heal();
    } finally {
      for (const life of this.lives) life?.end();
      this.judge.close();
      forgetProcesses();
    }
    return {
      seed,
      violations: this.judge.violations,
      coverage: this.coverage.counts,
      digest: this.scheduler.digest(),
      steps: this.scheduler.steps,
      virtualMs: this.scheduler.now,
    };
  }

  /** Starts another life in a process's place; workers and callers begin with it. */
  start(slot: number): void {
    this.#life += 1;
    const skewMs = this.plan.faults.skew > 0 ? this.#dice.whole(-2_000, 2_000) : 0;
    const life = new Life(this, { name: `p${slot}n${this.#life}`, slot, dice: this.#dice.fork(), skewMs });
    this.lives[slot] = life;
    this.scheduler.after(1, life, 'starts', () => {
      this.#open(life).catch((error: unknown) => this.judge.violated(`${life.name} failed to start: ${String(error)}`));
    });
  }

  /** `kill -9`. */
  kill(life: Life, how: string): void {
    if (life.dead) return;
    this.coverage.count(`killed by ${how}`);
    life.diedAt = this.scheduler.now;
    life.end();
    this.network.died(life);
    this.callers.died(life);
    const pauseMs = this.#dice.exponential(8_000);
    this.scheduler.after(pauseMs, null, `slot ${life.slot} starts again`, () => {
      if (this.lives[life.slot] === life) this.start(life.slot);
    });
  }

  /** A process that ended in order; another one takes its place. */
  finish(life: Life): void {
    life.diedAt = this.scheduler.now;
    life.end();
    this.network.died(life);
    this.callers.died(life);
    this.start(life.slot);
  }

  pause(life: Life, ms: number): void {
    if (life.dead || life.paused) return;
    life.paused = true;
    life.pausedSince = this.scheduler.now;
    this.coverage.count('paused');
    this.scheduler.after(ms, null, `${life.name} goes on`, () => this.thaw(life));
  }

  thaw(life: Life): void {
    if (!life.paused || life.dead) return;
    life.paused = false;
    life.pausedMs += this.scheduler.now - life.pausedSince;
    this.scheduler.release(life);
  }

  /** The host loses power: all processes die, and what was not flushed is gone. */
  powerFails(): void {
    this.disk.powerFails();
    for (const life of this.lives) if (life !== undefined && !life.dead) this.kill(life, 'power');
  }

  /** A user consents; the grant's tokens are made at the provider. */
  consent(grant: JudgedGrant): { refreshToken: string; accessToken: string; expiresIn: number } {
    const { accessToken, refreshToken, expiresAt } = this.simulator.mintTokens({
      profile: grant.provider,
      clientId: demoClient.clientId,
      user: 'user@us.example',
      scopes: ['read'],
    });
    this.judge.issued(grant, { refreshToken, accessToken, delivered: true, spent: null });
    return {
      refreshToken,
      accessToken,
      expiresIn: Math.max(1, Math.floor((expiresAt - epochMs - this.scheduler.now) / 1_000)),
    };
  }

  async #open(life: Life): Promise<void> {
    for (;;) {
      try {
        await this.#openOnce(life);
        return;
      } catch (error) {
        if (!this.chaos || !isExpected(error)) throw error;
        await life.sleep(500);
      }
    }
  }

  async #openOnce(life: Life): Promise<void> {
    const vault = await openVault({
      database: `sqlite:${this.database}`,
      home: life.home,
      spool: `${life.home}/spool`,
      rootKey: 'env:GRANTRY_SIMULATION_KEY',
      providers: this.plan.profiles.map(({ id }) => this.simulator.definition(id)),
      world: life.world,
      logger: this.callers.loggerOf(life),
      onEvent: (event) => this.coverage.count(`event: ${event.type}`),
    });
    const context = internalsOf(vault).open();
    life.owner = context.owner;
    life.vault = vault;
    const fingerprint = await context.keys.fingerprinter();
    this.judge.nameTokens((refreshToken) => fingerprint(new Secret(refreshToken)));
    if (this.plan.workers[life.slot] === true || !this.chaos) life.workers = startWorkers(vault);
    this.callers.start(life);
  }

  /** Apps and first grants are made in peace; then everybody starts. */
  async #prepare(): Promise<void> {
    const { chaos } = this;
    this.chaos = false;
    const life = new Life(this, { name: 'setup', slot: 0, dice: this.#dice.fork(), skewMs: 0 });
    let finished = false;
    this.#setUp(life)
      .catch((error: unknown) => this.judge.violated(`the set-up failed: ${String(error)}`))
      .finally(() => {
        finished = true;
      });
    await this.scheduler.runUntil(60_000, () => finished);
    if (!finished) this.judge.violated('the set-up did not end');
    life.end();
    this.chaos = chaos;
    for (let slot = 0; slot < this.plan.processes; slot += 1) this.start(slot);
  }

  async #setUp(life: Life): Promise<void> {
    const vault: Vault = await openVault({
      database: `sqlite:${this.database}`,
      home: life.home,
      spool: `${life.home}/spool`,
      rootKey: 'env:GRANTRY_SIMULATION_KEY',
      providers: this.plan.profiles.map(({ id }) => this.simulator.definition(id)),
      world: life.world,
    });
    const fingerprint = await internalsOf(vault).open().keys.fingerprinter();
    this.judge.nameTokens((refreshToken) => fingerprint(new Secret(refreshToken)));
    for (const { id } of this.plan.profiles) {
      if (!this.judge.grants.some((grant) => grant.provider === id)) continue;
      await vault.apps.put(id, {
        provider: id,
        clientId: demoClient.clientId,
        clientSecret: demoClient.secret ?? '',
        redirectUri: redirectUri,
      });
    }
    for (const grant of this.judge.grants) {
      await vault.storeTokens({ tenant: grant.tenant, provider: grant.provider }, this.consent(grant));
    }
    await vault.close();
  }

  /** No more faults: every process runs again, and every grant must come to rest where it belongs. */
  async #heal(): Promise<void> {
    this.scheduler.note(null, 'healing begins');
    this.chaos = false;
    this.healedAt = this.scheduler.now;
    this.lyingUntil = 0;
    this.lyingLongUntil = 0;
    for (const life of this.lives) {
      if (life === undefined) continue;
      this.thaw(life);
      life.storeDownUntil = 0;
      if (life.dead || life.closing || life.vault === undefined) continue;
      life.workers ??= startWorkers(life.vault);
    }
    await this.callers.heal(healMs + this.behindMs);
  }
}

/** Where users come back to. */
export const redirectUri = 'https://app.example/callback';

function isExpected(error: unknown): boolean {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return code === 'storage_unavailable';
}

function isFirst<T extends { tenant: string; provider: string }>(grant: T, index: number, all: readonly T[]): boolean {
  return all.findIndex((each) => each.tenant === grant.tenant && each.provider === grant.provider) === index;
}
