import { isGrantryError } from '../../src/base/errors.ts';
import type { Vault } from '../../src/vault/types.ts';
import { describe } from './calls.ts';
import type { Dice } from './host/dice.ts';
import type { FaultKind } from './host/swarm.ts';
import type { JudgedGrant } from './judge/judge.ts';
import type { Simulation } from './simulation.ts';
import type { Life } from './world/life.ts';
import type { WorldState } from './world/state.ts';

/** The redirect URI of every simulated user. */
export const redirectUri = 'https://app.example/callback';

/** Acts on processes, clocks and grants from outside, at times that the seed decides. */
export class Operator {
  readonly #simulation: Simulation;
  readonly #state: WorldState;
  readonly #dice: Dice;

  constructor(simulation: Simulation, dice: Dice) {
    this.#simulation = simulation;
    this.#state = simulation.state;
    this.#dice = dice;
  }

  plan(): void {
    this.#often('crash', 35_000, () => this.#withLife((life) => this.#simulation.kill(life, 'crash')));
    this.#often('pause', 35_000, () => this.#withLife((life) => this.#simulation.pause(life, this.#pauseMs())));
    this.#often('restart', 60_000, () => this.#withLife((life) => this.#restart(life)));
    this.#often('power', 150_000, () => this.#simulation.powerFails());
    this.#often('store_outage', 50_000, () => this.#storeGoesDown());
    this.#once('lie', () => this.#lie(this.#dice.between(1_000, 22_000)));
    this.#once('long_lie', () => this.#lie(this.#dice.between(40_000, 200_000)));
    this.#once('lasting_lie', () => this.#lie(this.#dice.between(180_000, 900_000)));
    this.#often('refused_commit', 60_000, () => this.#refuse());
    this.#often('import_old', 45_000, () => this.#withGrant((life, grant) => this.#importOld(life, grant)));
    this.#often('reconnect_bare', 70_000, () =>
      this.#withGrant((life, grant) => this.#consentAnew(life, grant, { bare: true })),
    );
    this.#often('lost_consent', 60_000, () =>
      this.#withGrant((life, grant) => this.#consentAnew(life, grant, { bare: false })),
    );
    this.#often('clock_jump', 60_000, () => this.#jump(this.#dice.whole(-1_500, 1_500)));
    this.#once('wild_clock_jump', () => this.#jumpWildly());
    this.#often('reauthorize', 70_000, () => this.#withGrant((life, grant) => this.#reauthorize(life, grant)));
    this.#often('disconnect', 120_000, () => this.#withGrant((life, grant) => this.#disconnect(life, grant)));
    this.#often('revoked_by_user', 150_000, () => this.#revoke(this.#dice.pick(this.#state.judge.grants)));
  }

  #often(kind: FaultKind, meanMs: number, happen: () => void): void {
    const weight = this.#state.plan.faults[kind];
    if (weight === 0) return;
    const next = (): void => {
      this.#state.scheduler.after(this.#dice.exponential(meanMs / weight), null, kind, () => {
        if (!this.#state.chaos) return;
        this.#state.coverage.count(`fault: ${kind}`);
        happen();
        next();
      });
    };
    next();
  }

  #once(kind: FaultKind, happen: () => void): void {
    const { plan, scheduler, coverage } = this.#state;
    if (plan.faults[kind] === 0) return;
    scheduler.after(this.#dice.between(2_000, plan.chaosMs * 0.8), null, kind, () => {
      coverage.count(`fault: ${kind}`);
      happen();
    });
  }

  #withLife(act: (life: Life) => void): void {
    const alive = this.#simulation.lives.filter((life) => life !== undefined && !life.dead);
    const life = alive.length === 0 ? undefined : this.#dice.pick(alive);
    if (life !== undefined) act(life);
  }

  #withGrant(act: (life: Life, grant: JudgedGrant) => Promise<void>): void {
    this.#withLife((life) => {
      if (life.vault === undefined || life.paused) return;
      act(life, this.#dice.pick(this.#state.judge.grants)).catch((error: unknown) => {
        if (!isGrantryError(error)) this.#state.judge.violated(`an administrator's call failed: ${describe(error)}`);
        else if (this.#state.refused === null && (error.code === 'internal' || error.code === 'integrity_failed')) {
          this.#state.judge.violated(`an administrator's call failed with ${error.code}: ${error.message}`);
        } else this.#state.coverage.count(`administrator got ${error.code}`);
      });
    });
  }

  /** Short as a collector's, or long as a laptop's lid. */
  #pauseMs(): number {
    return this.#dice.chance(0.3) ? this.#dice.between(100_000, 200_000) : this.#dice.exponential(7_000);
  }

  #storeGoesDown(): void {
    const until = this.#state.scheduler.now + this.#dice.exponential(9_000);
    const all = this.#dice.chance(0.4);
    for (const life of this.#simulation.lives) {
      if (life !== undefined && (all || this.#dice.chance(0.4))) life.storeDownUntil = until;
    }
  }

  #lie(ms: number): void {
    this.#state.lyingUntil = Math.max(this.#state.lyingUntil, this.#state.scheduler.now + ms);
  }

  /** The database refuses every new generation of one grant for a while. */
  #refuse(): void {
    const grant = this.#dice.pick(this.#state.judge.grants);
    this.#state.refused = { grant, until: this.#state.scheduler.now + this.#dice.between(3_000, 40_000) };
  }

  /** A job hands in a refresh token of any earlier time, of this authorization or one before. */
  async #importOld(life: Life, grant: JudgedGrant): Promise<void> {
    const { vault } = life;
    const known = [...grant.tokens.values()].filter(({ stored }) => stored);
    if (vault === undefined || life.closing || known.length === 0) return;
    const token = this.#dice.pick(known);
    const isOver = ['disconnected', 'reauthorization_required'].includes(grant.row?.state ?? '');
    const isGood = token.isUnspent && this.#state.simulator.isAlive(token.value);
    if (isOver && !isGood) grant.excuses.set('imported_dead', this.#state.scheduler.now);
    await vault.storeTokens({ tenant: grant.tenant, provider: grant.provider }, { refreshToken: token.value });
    this.#state.coverage.count(`imported an old token, grant ${grant.row?.state ?? '-'}`);
  }

  /** Small jumps of the host's clock, as time services make them; their sum stays small too. */
  #jump(ms: number): void {
    if (Math.abs(this.#state.smallJumpsMs + ms) <= 3_000) this.#state.jumpClock(ms, 'small');
  }

  #jumpWildly(): void {
    this.#state.jumpClock(this.#dice.between(-3_600_000, 3_600_000), 'wild');
    for (const grant of this.#state.judge.grants) grant.excuses.set('wild', this.#state.scheduler.now);
  }

  /** An orderly end, and a new start. */
  #restart(life: Life): void {
    const { vault } = life;
    if (vault === undefined || life.closing) return;
    life.closing = true;
    this.#close(life, vault).catch((error: unknown) =>
      this.#state.judge.violated(`${life.name} could not close: ${describe(error)}`),
    );
  }

  async #close(life: Life, vault: Vault): Promise<void> {
    await life.workers?.stop();
    await vault.close();
    this.#state.coverage.count('orderly restarts');
    this.#simulation.finish(life);
  }

  async #reauthorize(life: Life, grant: JudgedGrant): Promise<void> {
    const { vault } = life;
    const key = { tenant: grant.tenant, provider: grant.provider };
    if (vault === undefined || life.closing) return;
    if (this.#dice.chance(0.5)) {
      const tokens = this.#state.consent(grant);
      grant.excuses.delete('imported_dead');
      await vault.storeTokens(key, tokens);
      this.#state.coverage.count('re-authorized by storeTokens');
      return;
    }
    await this.#consentAnew(life, grant, { bare: false });
  }

  /** The user consents in a browser. `bare`: the provider gives no refresh token this time. */
  async #consentAnew(life: Life, grant: JudgedGrant, { bare }: { bare: boolean }): Promise<void> {
    const { vault } = life;
    if (vault === undefined || life.closing) return;
    const key = { tenant: grant.tenant, provider: grant.provider };
    const { url } = await vault.authorize({ ...key, redirectUri, scopes: ['read'] });
    const location = (await this.#state.simulator.fetch(new Request(url, { redirect: 'manual' }))).headers.get(
      'location',
    );
    const code = location === null ? null : new URL(location).searchParams.get('code');
    if (location === null || code === null) throw new Error(`the provider gave no code: ${location ?? 'nothing'}`);
    this.#state.codes.set(code, grant);
    if (bare) this.#state.bareCodes.add(code);
    await life.sleep(this.#dice.between(100, 4_000));
    this.#state.redeemed.set(code, { begunAt: this.#state.scheduler.now, sentAt: null });
    await vault.completeAuthorization(location);
    this.#state.coverage.count(
      bare ? 're-authorized without a refresh token' : 're-authorized by completeAuthorization',
    );
  }

  async #disconnect(life: Life, grant: JudgedGrant): Promise<void> {
    if (life.vault === undefined || life.closing) return;
    // Rare by chance, and what a standby that lags does to each.
    if (this.#state.plan.faults.slow_commit > 0) life.isNextCommitSlow = this.#dice.chance(0.4);
    const { revocation } = await life.vault.disconnect({ tenant: grant.tenant, provider: grant.provider });
    this.#state.coverage.count(`disconnected: ${revocation}`);
  }

  /** The tenant's user removes the application at the provider. */
  #revoke(grant: JudgedGrant): void {
    const living = this.#state.judge.livingTokens(grant)[0];
    if (living === undefined) return;
    this.#state.simulator.revoke(living.value);
    for (const each of this.#state.judge.grants) {
      if (each.family === living.family) each.excuses.set('revoked_by_user', this.#state.scheduler.now);
    }
  }
}
