import { isGrantryError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { Secret } from '../../src/base/secret.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { openVault } from '../../src/vault/open.ts';
import type { VaultOptions } from '../../src/vault/options.ts';
import type { Vault } from '../../src/vault/types.ts';
import { startWorkers } from '../../src/workers/workers.ts';
import { Callers } from './callers.ts';
import { Calls } from './calls.ts';
import type { Dice } from './host/dice.ts';
import { Traffic } from './world/call.ts';
import { Chances } from './world/chances.ts';
import { Life } from './world/life.ts';
import { Network } from './world/network.ts';
import type { WorldState } from './world/state.ts';

/** A process waits this long for a database that others hold. */
const busyMs = 15_000;

/** The processes of one world, from their starts to their ends, with the network and the callers around them. */
export class Simulation {
  readonly state: WorldState;
  readonly network: Network;
  readonly calls: Calls;
  readonly chances: Chances;
  /** The process that runs in each slot. */
  readonly lives: (Life | undefined)[];
  readonly #callers: Callers;
  readonly #dice: Dice;
  #born = 0;

  constructor(state: WorldState, dice: Dice) {
    this.state = state;
    this.#dice = dice;
    this.lives = Array.from({ length: state.plan.processes });
    const traffic = new Traffic();
    this.chances = new Chances(state, traffic, this.lives);
    this.network = new Network(state, { traffic, chances: this.chances, dice: dice.fork() });
    this.calls = new Calls(state);
    this.#callers = new Callers(state, this.calls, dice.fork());
  }

  /** Starts the next process in a slot; its workers and callers begin with it. */
  start(slot: number): void {
    this.#born += 1;
    const { scheduler, judge, plan } = this.state;
    const skewMs = plan.faults.skew > 0 ? this.#dice.whole(-2_000, 2_000) : 0;
    const life = new Life(this, { name: `p${slot}n${this.#born}`, slot, dice: this.#dice.fork(), skewMs });
    this.lives[slot] = life;
    scheduler.after(1, life, 'starts', () => {
      this.#open(life).catch((error: unknown) => judge.violated(`${life.name} failed to start: ${String(error)}`));
    });
  }

  /** `kill -9`. */
  kill(life: Life, how: string): void {
    if (life.dead) return;
    this.state.coverage.count(`killed by ${how}`);
    this.#end(life, how);
    const pauseMs = this.#dice.exponential(8_000);
    this.state.scheduler.after(pauseMs, null, `slot ${life.slot} starts again`, () => {
      if (this.lives[life.slot] === life) this.start(life.slot);
    });
  }

  /** Replaces a process that ended in order. */
  finish(life: Life): void {
    this.#end(life, 'in order');
    this.start(life.slot);
  }

  pause(life: Life, ms: number): void {
    if (life.dead || life.paused) return;
    life.paused = true;
    life.pausedSince = this.state.scheduler.now;
    this.state.coverage.count('paused');
    this.state.scheduler.after(ms, null, `${life.name} goes on`, () => this.thaw(life));
  }

  thaw(life: Life): void {
    if (!life.paused || life.dead) return;
    life.paused = false;
    life.pausedMs += this.state.scheduler.now - life.pausedSince;
    this.state.scheduler.release(life);
  }

  /** The host loses power: all processes die, and everything that was not flushed is gone. */
  powerFails(): void {
    this.state.disk.powerFails();
    for (const life of this.lives) if (life !== undefined && !life.dead) this.kill(life, 'power');
  }

  /** Opens the world's database as this process. */
  async openVault(life: Life, options: Pick<VaultOptions, 'logger' | 'onEvent'> = {}): Promise<Vault> {
    const { database, simulator, plan, judge } = this.state;
    const vault = await openVault({
      database,
      home: life.home,
      spool: `${life.home}/spool`,
      rootKey: 'env:GRANTRY_SIMULATION_KEY',
      // The provider's odd answers have a member that is kept beside the tokens.
      providers: plan.profiles.map(({ id }) => ({ ...simulator.definition(id), capture: { token: { note: 'note' } } })),
      world: life.world,
      ...options,
    });
    const fingerprint = await internalsOf(vault).open().keys.fingerprinter();
    judge.nameTokens((refreshToken) => fingerprint(new Secret(refreshToken)));
    return vault;
  }

  async #open(life: Life): Promise<void> {
    for (;;) {
      // A pause in the middle of a transaction shows only when the process goes on, and that may be after the faults.
      const { chaos } = this.state;
      try {
        await this.#openOnce(life);
        return;
      } catch (error) {
        const expected = isGrantryError(error) && error.code === 'storage_unavailable';
        // A slow commit may hold the database a little longer than the faults last.
        const { scheduler, storeBusyUntil } = this.state;
        if ((!chaos && storeBusyUntil + busyMs < scheduler.now) || !expected) throw error;
        await life.sleep(500);
      }
    }
  }

  async #openOnce(life: Life): Promise<void> {
    const { coverage, plan, chaos } = this.state;
    const vault = await this.openVault(life, {
      logger: this.#loggerOf(life),
      onEvent: (event) => coverage.count(`event: ${event.type}`),
    });
    life.owner = internalsOf(vault).open().owner;
    life.vault = vault;
    if (plan.workers[life.slot] === true || !chaos) life.workers = startWorkers(vault);
    this.#callers.start(life);
  }

  #end(life: Life, how: string): void {
    life.diedAt = this.state.scheduler.now;
    life.end();
    this.network.died(life, how);
    this.calls.died(life);
  }

  #loggerOf(life: Life): Logger {
    const { coverage, scheduler } = this.state;
    const line = (level: string) => (message: string, fields?: object) => {
      const text = JSON.stringify(fields ?? {}).replace(/"grant":"[^"]*"/, '"grant"');
      scheduler.note(life, `log ${level}: ${message} ${text}`);
      if (message === 'a spooled answer was replayed') coverage.count('spool replays');
      else if (level !== 'info') coverage.count(`log: ${message}`);
    };
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }
}
