/**
 * A provider that was down: how long after it is well again an expired grant is served. The time is simulated. A broker
 * that asks each half minute, and keeps nothing else in mind, asks the same provider in the same run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GrantryError, openVault, type Vault } from '../src/index.ts';
import { createSimulator, demoClient, type FaultEffect, type Simulator } from '../src/simulator/index.ts';
import { TestClock } from '../test/support/clock.ts';
import { TestWorld } from '../test/support/world.ts';
import { median } from './measure.ts';
import { type Aim, table } from './report.ts';

const profiles = ['none', 'timed_overlap', 'retire_on_use', 'strict', 'strict_revokes_family'];
/** A refused connection is the world's; the simulator does the rest. */
const outages: readonly [string, FaultEffect | null][] = [
  ['refused', null],
  ['hang', { kind: 'hang', when: 'before' }],
  ['503', { kind: 'status', status: 503, when: 'before' }],
  ['reset', { kind: 'reset', when: 'before' }],
];
const grants = 4;
const runs = Number(process.env['BENCH_RUNS'] ?? '5');
const brokerPauseMs = 30_000;
const brokerPatienceMs = 10_000;
/** Callers ask again after this time, or later if they are told to. */
const stepMs = 500;

export async function benchRecovery(): Promise<Aim[]> {
  const rows: string[][] = [];
  let worst = 0;
  for (const profile of profiles) {
    for (const [name, effect] of outages) {
      const ours: number[] = [];
      const broker: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        // Outages of half a minute to five minutes: their ends fall on every phase of all back-offs.
        const outageMs = 30_000 + Math.round((270_000 * (run + 0.5)) / runs);
        await using scene = await Scene.open(profile);
        await scene.suffer(effect, outageMs);
        ours.push(...scene.waits);
        broker.push(scene.brokerWait);
      }
      rows.push([
        profile,
        name,
        ...[ours, broker].flatMap((waits) => [median(waits), Math.max(...waits)].map(seconds)),
      ]);
      if (name === 'refused' || name === '503') worst = Math.max(worst, ...ours);
    }
  }
  const head = ['class', 'outage', 'Grantry p50', 'max', 'broker p50', 'max'];
  process.stdout.write(`\n${table(head, rows)}\n`);
  return [
    {
      what: 'seconds until a grant is served after a provider was unreachable or answered 503',
      value: worst / 1_000,
      most: 20,
    },
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** One provider, one vault with expired grants and their callers, and a broker with a grant of its own. */
class Scene implements AsyncDisposable {
  /** The time from the provider's recovery until each grant was served. */
  readonly waits: number[] = [];
  brokerWait = Number.NaN;
  readonly #clock: StillClock;
  readonly #simulator: Simulator;
  readonly #world: TestWorld;
  readonly #vault: Vault;
  readonly #profile: string;
  readonly #home: string;

  private constructor(parts: {
    clock: StillClock;
    simulator: Simulator;
    world: TestWorld;
    vault: Vault;
    profile: string;
    home: string;
  }) {
    this.#clock = parts.clock;
    this.#simulator = parts.simulator;
    this.#world = parts.world;
    this.#vault = parts.vault;
    this.#profile = parts.profile;
    this.#home = parts.home;
  }

  static async open(profile: string): Promise<Scene> {
    const clock = new StillClock();
    const simulator = createSimulator({
      profiles: [profile],
      now: () => clock.now(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    });
    const world = new TestWorld(simulator, clock);
    const home = mkdtempSync(join(tmpdir(), 'grantry-recovery-'));
    const vault = await openVault({
      home,
      database: `sqlite:${home}/grantry.db`,
      rootKey: `file:${home}/root.key`,
      spool: `${home}/spool`,
      providers: [simulator.definition(profile)],
      unsafeAllowLoopbackProviders: 'the simulated provider may listen on a loopback port',
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      world,
    });
    await vault.apps.put(profile, {
      provider: profile,
      clientId: demoClient.clientId,
      clientSecret: demoClient.secret ?? '',
    });
    return new Scene({ clock, simulator, world, vault, profile, home });
  }

  async suffer(effect: FaultEffect | null, outageMs: number): Promise<void> {
    const waiting = new Map<string, number>();
    for (let each = 0; each < grants; each += 1) {
      const key = { tenant: `tenant-${each}`, provider: this.#profile };
      await this.#vault.storeTokens(key, { refreshToken: this.#mint() });
      waiting.set(key.tenant, 0);
    }
    this.#world.offline = effect === null;
    const fault = effect === null ? null : this.#simulator.faults.add({ endpoint: 'token', times: 1_000_000, effect });
    let wellAt = Number.POSITIVE_INFINITY;
    const endsAt = this.#clock.now() + outageMs;
    const asking = new Set<string>();
    const ask = async (tenant: string): Promise<void> => {
      asking.add(tenant);
      try {
        await this.#vault.getAccessToken({ tenant, provider: this.#profile });
        waiting.delete(tenant);
        this.waits.push(this.#clock.now() - wellAt);
      } catch (error) {
        const laterMs = error instanceof GrantryError ? (error.retryAfterMs ?? 0) : 0;
        waiting.set(tenant, this.#clock.now() + laterMs);
      } finally {
        asking.delete(tenant);
      }
    };
    const asked: Promise<void>[] = [];
    const broker = this.#runBroker(() => wellAt);
    while (waiting.size > 0 || Number.isNaN(this.brokerWait)) {
      if (this.#clock.now() >= endsAt && wellAt === Number.POSITIVE_INFINITY) {
        this.#world.offline = false;
        if (fault !== null) this.#simulator.faults.clear();
        wellAt = this.#clock.now();
      }
      const now = this.#clock.now();
      for (const [tenant, from] of waiting) if (now >= from && !asking.has(tenant)) asked.push(ask(tenant));
      await turns();
      this.#clock.jump(stepMs);
      await turns();
    }
    await Promise.all([broker, ...asked]);
  }

  /** Asks at fixed times, with a deadline, until it has a token. */
  async #runBroker(wellAt: () => number): Promise<void> {
    const refreshToken = this.#mint();
    const url = this.#simulator.definition(this.#profile).endpoints?.token ?? '';
    for (;;) {
      const askedAt = this.#clock.monotonic();
      if (await this.#isServed(url, refreshToken)) break;
      await this.#clock.sleep(Math.max(0, brokerPauseMs - (this.#clock.monotonic() - askedAt)));
    }
    this.brokerWait = this.#clock.now() - wellAt();
  }

  async #isServed(url: string, refreshToken: string): Promise<boolean> {
    const stop = new AbortController();
    const parameters = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: demoClient.clientId };
    const body = new URLSearchParams({ ...parameters, client_secret: demoClient.secret ?? '' });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const late = this.#clock.sleep(brokerPatienceMs, stop.signal).then(
      () => false,
      () => false,
    );
    const asked = this.#world.fetch(url, { method: 'POST', headers, body: body.toString(), signal: stop.signal }).then(
      (response) => response.status === 200,
      () => false,
    );
    const served = await Promise.race([asked, late]);
    stop.abort(new Error('the broker waits no longer'));
    return served;
  }

  #mint(): string {
    const about = { profile: this.#profile, clientId: demoClient.clientId, user: 'user@us.example', scopes: ['read'] };
    return this.#simulator.mintTokens(about).refreshToken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#simulator.close();
    await this.#vault.close();
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** A clock that stands still until it is moved, so that a slow machine changes nothing. */
class StillClock extends TestClock {
  #now = 1_800_000_000_000;
  readonly #sleepers = new Set<{ readonly dueAt: number; readonly wake: () => void }>();

  override now(): number {
    return this.#now;
  }

  override monotonic(): number {
    return this.#now;
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const sleeper = { dueAt: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        if (this.#sleepers.delete(sleeper)) reject(signal.reason);
      });
    });
  }

  override jump(ms: number): void {
    this.#now += ms;
    for (const sleeper of [...this.#sleepers].sort((one, other) => one.dueAt - other.dueAt)) {
      if (sleeper.dueAt > this.#now) return;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}

/** Lets woken tasks run: the spool and the database of this process answer within these turns. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
}
