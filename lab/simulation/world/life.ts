import { NotSentError } from '../../../src/base/network/outbound-errors.ts';
import type { World, WorldRequest } from '../../../src/base/world.ts';
import type { Owner } from '../../../src/vault/spool/owner.ts';
import { retireOwner } from '../../../src/vault/spool/owner.ts';
import type { Vault } from '../../../src/vault/types.ts';
import type { Workers } from '../../../src/workers/workers.ts';
import type { Dice } from '../host/dice.ts';
import { type Disk, diskError } from '../host/disk.ts';
import { type Actor, never, type Scheduled } from '../host/scheduler.ts';
import { type PortProcess, registerProcess, type ServerProcess, type StepKind } from '../ports/processes.ts';
import type { WorldState } from './state.ts';

/** Typical times of a step on this machine, in milliseconds. */
const stepMs: Readonly<Record<StepKind, readonly [number, number]>> = {
  read: [0.02, 0.2],
  write: [0.05, 0.3],
  begin: [0.02, 0.2],
  commit: [0.3, 4],
  rollback: [0.02, 0.1],
  disk: [0.02, 0.2],
  flush: [0.3, 4],
};

/** The parts of a world that a process meets: the network it calls, and the operator that kills it. */
export interface Surroundings {
  readonly state: WorldState;
  readonly network: {
    asks(init: WorldRequest): void;
    connectMs(): number;
    send(life: Life, url: string, init: WorldRequest): Promise<Response>;
    diskFailed(life: Life, path: string): void;
  };
  kill(life: Life, how: string): void;
}

/**
 * One life of a process, from its start to its end or death: a world of its own, and the machine's side of its database
 * and files. What it waits for comes through the scheduler, so it can be paused or killed at each wait.
 */
export class Life implements Actor, PortProcess {
  readonly name: string;
  readonly slot: number;
  readonly disk: Disk;
  readonly handles = new Set<{ close(): void }>();
  readonly world: World;
  readonly home: string;
  paused = false;
  /** It was told to end. */
  closing = false;
  dead = false;
  vault: Vault | undefined;
  workers: Workers | undefined;
  owner: Owner | undefined;
  /** Offset of its clock, in addition to the host's. */
  readonly skewMs: number;
  /** No other process can see it die. */
  readonly isUnseen: boolean;
  pausedMs = 0;
  pausedSince = 0;
  diedAt = Number.POSITIVE_INFINITY;
  /** Its database does not answer until then. */
  storeDownUntil = 0;
  /** The very next commit is a slow one. */
  isNextCommitSlow = false;
  /** A slow commit of its own is under way: if it is paused now, no other process can write to its file. */
  isCommitting = false;
  readonly #surroundings: Surroundings;
  readonly #state: WorldState;
  readonly #dice: Dice;

  constructor(surroundings: Surroundings, parts: { name: string; slot: number; dice: Dice; skewMs: number }) {
    this.#surroundings = surroundings;
    this.#state = surroundings.state;
    this.#dice = parts.dice;
    this.name = parts.name;
    this.slot = parts.slot;
    this.skewMs = parts.skewMs;
    this.isUnseen = this.#state.plan.faults.unseen_death > 0 && parts.dice.fork().chance(0.5);
    this.disk = this.#state.disk;
    this.home = `/${parts.name}/home`;
    this.world = {
      now: () => this.now(),
      monotonic: () => this.#state.scheduler.now,
      sleep: (ms, signal) => this.sleep(ms, signal),
      randomBytes: (count) => this.#dice.bytes(count),
      fetch: (url, init) => this.#fetch(url, init),
    };
    registerProcess(this.name, this.world, this);
  }

  now(): number {
    return Math.floor(this.#state.wallClock() + this.skewMs);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.dead) return never();
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const abort = (): void => {
        timer.cancel();
        reject(signal?.reason);
      };
      const timer: Scheduled = this.#state.scheduler.after(ms, this, 'wakes', () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  async step(kind: StepKind, what: string, path?: string): Promise<void> {
    await this.#pass(kind, what);
    // A rollback that fails cannot be told from one that the database makes by itself.
    if (kind === 'rollback') return;
    if (isStore(kind) && this.#state.strikes('store_before', 0.002)) throw storeFailure(10);
    if (isStore(kind) && this.storeDownUntil > this.#state.scheduler.now) throw storeFailure(14);
    if (!isStore(kind)) this.#useDisk(kind === 'flush' ? 'EIO' : 'ENOSPC', path);
  }

  instant(what: string, path: string): void {
    this.#state.scheduler.note(this, `${what} now`);
    this.#useDisk('ENOSPC', path);
  }

  /** The judge must know which answer a failure may have cost: no other is excused by it. */
  #useDisk(code: 'EIO' | 'ENOSPC', path: string | undefined): void {
    if (!this.#state.strikes('disk', 0.01)) return;
    this.#surroundings.network.diskFailed(this, path ?? '');
    throw diskError(code);
  }

  async done(kind: StepKind, what: string): Promise<void> {
    if (kind === 'commit' && this.#state.strikes('store_after', 0.02)) throw storeFailure(10);
    if (!this.#state.strikes('step_crash', 0.0008)) return;
    await this.#die(`after ${what}`);
  }

  committed(): Promise<void> {
    return this.#state.judge.look();
  }

  /** The database refuses the next generation of one grant, as a broken constraint or an odd value would. */
  statement(sql: string, parameters: readonly unknown[]): void {
    const { refused, scheduler } = this.#state;
    const savesTokens = /^\s*update "oauth_tokens"/i.test(sql) && sql.includes('"refresh_fingerprint" =');
    if (refused === null || refused.until <= scheduler.now || !savesTokens) return;
    if (!parameters.includes(refused.grant.row?.id ?? '')) return;
    this.#state.coverage.count('commits refused');
    throw refusal(this.#state.kind);
  }

  /** A disk that stalls, or a standby that is slow: the commit comes late, and others wait for it. */
  async flushed(): Promise<void> {
    const ms = this.#slowCommitMs();
    if (ms === 0) return;
    this.isCommitting = true;
    await new Promise<void>((resolve) => {
      this.#state.scheduler.after(ms, this, 'a slow commit', resolve);
    });
    this.isCommitting = false;
  }

  #slowCommitMs(): number {
    const isNext = this.isNextCommitSlow;
    this.isNextCommitSlow = false;
    if (!isNext && !this.#state.strikes('slow_commit', 0.002)) return 0;
    const ms = this.#dice.between(5_000, 30_000);
    this.#state.storeBusyUntil = Math.max(this.#state.storeBusyUntil, this.#state.scheduler.now + ms);
    return ms;
  }

  get server(): ServerProcess | undefined {
    if (this.#state.kind === 'sqlite') return undefined;
    const { scheduler, coverage } = this.#state;
    return {
      handles: this.handles,
      monotonic: () => scheduler.now,
      serverClock: () => Math.floor(this.#state.wallClock()),
      after: (ms, what, run) => scheduler.after(ms, this, what, run),
      later: (ms, what, run) => scheduler.after(ms, null, what, run),
      outside: (work) => scheduler.outside(work),
      slowCommitMs: () => this.#slowCommitMs(),
      committed: () => this.committed(),
      count: (what) => coverage.count(what),
    };
  }

  /** Time goes by; others have their turn. */
  async #pass(kind: StepKind, what: string): Promise<void> {
    if (this.dead) return never();
    if (this.#state.strikes('step_crash', 0.0008)) return this.#die(`before ${what}`);
    const [low, high] = stepMs[kind];
    const ms = this.#dice.between(low, high) * this.#state.plan.slowness;
    await new Promise<void>((resolve) => {
      this.#state.scheduler.after(ms, this, what, resolve);
    });
  }

  #die(where: string): Promise<never> {
    this.#state.scheduler.after(0, null, `${this.name} dies ${where}`, () =>
      this.#surroundings.kill(this, 'step_crash'),
    );
    return never();
  }

  async #fetch(url: string, init: WorldRequest): Promise<Response> {
    if (this.dead) return never();
    const { network } = this.#surroundings;
    network.asks(init);
    await this.sleep(network.connectMs());
    if (init.signal?.aborted === true) throw new NotSentError('aborted before the first byte');
    if (this.#state.strikes('refused_connection', 0.15)) throw new NotSentError('connection refused');
    try {
      init.beforeSend?.();
    } catch (error) {
      throw error instanceof NotSentError ? error : new NotSentError('stopped before the first byte', { cause: error });
    }
    return network.send(this, url, init);
  }

  /** Does the work of the operating system when a process ends. */
  end(): void {
    this.dead = true;
    for (const handle of this.handles) handle.close();
    this.handles.clear();
    if (this.owner === undefined) return;
    // A process in a container of its own, or on another host: no process sees that it is dead.
    if (this.isUnseen) this.#state.unseen.push(this.owner);
    else retireOwner(this.owner);
  }
}

function isStore(kind: StepKind): boolean {
  return kind !== 'disk' && kind !== 'flush';
}

/** A broken CHECK, as the driver reports it. */
function refusal(kind: 'sqlite' | 'postgres'): Error {
  if (kind === 'postgres') return Object.assign(new Error('simulated'), { severity: 'ERROR', code: '23514' });
  return Object.assign(new Error('CHECK constraint failed: simulated'), { code: 'ERR_SQLITE_ERROR', errcode: 275 });
}

/** As `node:sqlite` reports it: 10 is an I/O error, 14 a file that cannot be opened. */
function storeFailure(errcode: number): Error {
  return Object.assign(new Error('simulated failure of the database'), { code: 'ERR_SQLITE_ERROR', errcode });
}
