import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Times, timesOf } from '../../src/base/limits.ts';
import { systemWorld } from '../../src/index.ts';
import { Dice } from '../dice.ts';
import { bundlePrograms, labPrograms } from './bundle.ts';
import { Child } from './child.ts';
import { Crew, type Slot } from './crew.ts';
import { arrivals, type Evidence, gatherEvidence, spooledBy } from './evidence.ts';
import type {
  Healed,
  Minted,
  ProviderCommand,
  ProviderJudgement,
  ProviderStarted,
  WorkerCommand,
  WorkerPlan,
} from './messages.ts';
import type { LabOptions } from './options.ts';
import { waitedForProcessorMs } from './processor.ts';
import { type Deed, judgeRun, type LabResult, type Pause } from './verdict.ts';

/** What 60 s, the overlap of the simulated providers, becomes. */
const overlapSeconds = 60;

export async function runLab(options: LabOptions): Promise<LabResult> {
  const directory = mkdtempSync(path.join(tmpdir(), 'grantry-kill-lab-'));
  try {
    return await new Lab(options, directory).run();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

class Lab {
  readonly #options: LabOptions;
  readonly #directory: string;
  readonly #dice: Dice;
  readonly #times: Times;
  readonly #deeds: Deed[] = [];
  readonly #sleeps: Pause[] = [];
  /** Tenant → the provider's family. */
  readonly #families = new Map<string, string>();
  readonly #replaced = new Set<string>();
  /** Grants whose holder was killed and not yet replaced. */
  readonly #awaited = new Map<string, { readonly at: number; readonly pid: number }>();
  readonly #replacedMs: number[] = [];
  readonly #startedAt = performance.now();
  #kills = 0;
  #counted = 0;
  #pauses = 0;
  #resuming: Promise<void> | undefined;

  constructor(options: LabOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#dice = new Dice(options.seed);
    this.#times = timesOf(systemWorld({ timeScale: options.scale }));
  }

  async run(): Promise<LabResult> {
    const programs = await bundlePrograms(`${this.#directory}/programs`, labPrograms);
    const provider = await Child.start<ProviderCommand>(programs.provider);
    let clerk: Child<WorkerCommand> | undefined;
    let crew: Crew | undefined;
    try {
      const started = await this.#startProvider(provider);
      const plan = (slot: { index: number; home: string; wireLog: string }) => this.#workerPlan(slot, started);
      clerk = await Child.start<WorkerCommand>(programs.worker);
      await this.#prepare(clerk, plan, started);
      await this.#connect(provider, clerk, this.#options.grants);
      crew = new Crew(programs.worker, plan, () => this.#living());
      await using evidence = disposable(await gatherEvidence(this.#database()));
      const joining = crew;
      await Promise.all(Array.from({ length: this.#options.workers }, (_, index) => joining.add(this.#place(index))));
      await this.#rage(crew, { provider, clerk, evidence: evidence.it });
      return await this.#conclude(crew, { provider, clerk, evidence: evidence.it });
    } finally {
      await this.#resuming;
      await crew?.killAll();
      await clerk?.kill();
      await provider.kill();
    }
  }

  async #startProvider(provider: Child<ProviderCommand>): Promise<ProviderStarted> {
    const { rotation, scale, delayMs, seed } = this.#options;
    const plan = {
      profile: rotation,
      // The shortest life that answers can state; reports of refused tokens ask for more refreshes than this.
      accessTokenSeconds: 2,
      overlapSeconds: overlapSeconds * scale,
      delayMs,
      seed: seed + 1,
    };
    const started = await provider.ask<ProviderStarted>({ ask: 'start', plan });
    const { refreshToken, ...definition } = started.definition;
    // The library scales what the definition says, as it scales all else.
    const overlaps = refreshToken?.rotation === 'timed_overlap' ? { overlapSeconds } : {};
    return { ...started, definition: { ...definition, refreshToken: { ...refreshToken, ...overlaps } } };
  }

  async #prepare(
    clerk: Child<WorkerCommand>,
    plan: (slot: { index: number; home: string; wireLog: string }) => WorkerPlan,
    { clientId, clientSecret }: ProviderStarted,
  ): Promise<void> {
    const place = this.#place(-1);
    mkdirSync(place.home, { recursive: true });
    await clerk.ask({ ask: 'open', plan: plan(place) });
    await clerk.ask({ ask: 'app', clientId, clientSecret });
  }

  /** Kills, pauses and replaces, until enough kills have counted. */
  async #rage(crew: Crew, others: Others): Promise<void> {
    const { kills, minutesMax } = this.#options;
    // Counted from here: on a busy machine the start may take longer than a short run.
    const endsAt = performance.now() + minutesMax * 60_000;
    const enough = (): boolean => this.#counted >= kills || performance.now() >= endsAt;
    const hunts = new Map<Slot, Promise<void>>();
    let lookedAt = 0;
    while (!enough()) {
      await pause(15);
      if (crew.failure !== undefined) throw crew.failure;
      if (performance.now() - lookedAt > 300) {
        lookedAt = performance.now();
        await this.#replaceLost(crew, others);
      }
      const underWay = await others.evidence.underWay();
      this.#noteReplacements(underWay);
      const busy = new Set(underWay.map(({ pid }) => pid));
      for (const slot of crew.slots) {
        if (slot.state !== 'working' || hunts.has(slot) || !busy.has(slot.child.pid)) continue;
        const hunt = this.#hunt(crew, slot, others).finally(() => hunts.delete(slot));
        hunts.set(slot, hunt);
      }
    }
    await Promise.all(hunts.values());
  }

  /** A process with its own attempt on a grant whose holder was killed has taken over. */
  #noteReplacements(underWay: readonly { grantId: string; pid: number }[]): void {
    for (const { grantId, pid } of underWay) {
      const killed = this.#awaited.get(grantId);
      if (killed === undefined || killed.pid === pid) continue;
      this.#awaited.delete(grantId);
      this.#replacedMs.push(Date.now() - killed.at);
    }
  }

  /**
   * Most processes are killed in one of their first refreshes, some much later: starting is what a kill costs. The moment
   * itself is left to the dice: what was under way may have ended by then, and then the kill does not count.
   */
  async #hunt(crew: Crew, slot: Slot, others: Others): Promise<void> {
    const { pauseShare } = this.#options;
    const pauses = this.#dice.fraction() < pauseShare;
    await pause(this.#dice.between(0, this.#dice.fraction() < 1 / 20 ? 2_000 : 350));
    if (!pauses || this.#resuming !== undefined) await this.#kill(crew, slot, others);
    else this.#pause(crew, slot, others);
  }

  async #kill(crew: Crew, slot: Slot, { clerk, evidence }: Others): Promise<void> {
    slot.state = 'starting';
    const { pid } = slot.child;
    const waitedMs = waitedForProcessorMs(pid);
    const at = Date.now();
    await slot.child.kill();
    const goneAt = Date.now();
    const spooled = await spooledBy(pid, slot.home);
    // An open attempt in the database, made by this process: its intent was written and its end was not.
    const open = await evidence.openAttempts(pid);
    crew.restart(slot);
    this.#kills += 1;
    if (open.length > 0) this.#counted += 1;
    this.#deeds.push({ at, goneAt, pid, waitedMs, open, spooled });
    for (const { grantId } of open) this.#awaited.set(grantId, { at, pid });
    // A process that is not killed asks for the same grants, so that the run measures the take-over.
    const want = open.map(({ tenant, generation }) => ({ tenant, generation }));
    if (want.length > 0) void clerk.ask({ ask: 'want', grants: want });
    this.#tellProgress();
  }

  /** Longer than the lease: another process takes over, then the sleeper wakes and finds its answer. */
  #pause(crew: Crew, slot: Slot, others: Others): void {
    const strict = this.#options.rotation.startsWith('strict');
    const leaseMs = strict ? this.#times.strictLeaseMs : this.#times.renewedLeaseMs;
    const ms = leaseMs * this.#dice.between(1.1, 1.8);
    const dies = this.#dice.fraction() < 0.3;
    slot.state = 'stopped';
    const { pid } = slot.child;
    const from = Date.now();
    slot.child.signal('SIGSTOP');
    this.#pauses += 1;
    this.#resuming = this.#endPause(crew, slot, others, { pid, from, ms, dies }).finally(() => {
      this.#resuming = undefined;
    });
  }

  async #endPause(
    crew: Crew,
    slot: Slot,
    others: Others,
    { pid, from, ms, dies }: { pid: number; from: number; ms: number; dies: boolean },
  ): Promise<void> {
    await pause(ms);
    this.#sleeps.push({ pid, from, until: Date.now() });
    if (dies) {
      await this.#kill(crew, slot, others);
      return;
    }
    slot.child.signal('SIGCONT');
    slot.state = 'working';
    crew.tell(slot, { ask: 'work', tenants: this.#living() });
  }

  /** A tenant whose grant is over connects again, as a new one: so what became of the old one stays to be judged. */
  async #replaceLost(crew: Crew, { provider, clerk, evidence }: Others): Promise<void> {
    const over = (await evidence.grants()).filter(
      ({ state, tenant }) => state === 'reauthorization_required' && !this.#replaced.has(tenant),
    );
    if (over.length === 0) return;
    for (const { tenant } of over) this.#replaced.add(tenant);
    await this.#connect(provider, clerk, over.length);
    crew.tellAll();
    this.#tellProgress();
  }

  async #connect(provider: Child<ProviderCommand>, clerk: Child<WorkerCommand>, count: number): Promise<void> {
    const minted = await provider.ask<Minted[]>({ ask: 'mint', count });
    const grants = minted.map(({ family, refreshToken, accessToken }) => {
      const tenant = `tenant-${this.#families.size}`;
      this.#families.set(tenant, family);
      return { tenant, refreshToken, accessToken };
    });
    await clerk.ask({ ask: 'store', grants });
  }

  async #conclude(crew: Crew, { provider, clerk, evidence }: Others): Promise<LabResult> {
    const killsTookSeconds = this.#seconds();
    await this.#resuming;
    await provider.ask({ ask: 'calm' });
    await crew.close();
    const tenants = [...this.#families.keys()];
    const { strictLeaseMs, verdictWindowMs } = this.#times;
    const patienceMs = strictLeaseMs * 3 + verdictWindowMs * 2 + 20_000;
    const before = await provider.ask<ProviderJudgement>({ ask: 'judge' });
    const healed = await clerk.ask<Healed[]>({ ask: 'heal', tenants, patienceMs });
    const judgement = await provider.ask<ProviderJudgement>({ ask: 'judge' });
    const newest = judgement.families.flatMap(({ lastIssued }) => lastIssued?.successor ?? []);
    return judgeRun({
      options: this.#options,
      kills: { all: this.#kills, counted: this.#counted, pauses: this.#pauses, seconds: killsTookSeconds },
      deeds: this.#deeds,
      pauses: this.#sleeps,
      families: this.#families,
      healed,
      judgement,
      duplicateSpendsBeforeHealing: before.replays,
      replacedMs: this.#replacedMs,
      grants: await evidence.grants(),
      events: await evidence.events(),
      arrived: await arrivals(this.#wireLogs(), new Set(newest)),
    });
  }

  #workerPlan(
    slot: { index: number; home: string; wireLog: string },
    { definition, origin }: ProviderStarted,
  ): WorkerPlan {
    return {
      database: this.#database(),
      rootKey: `file:${this.#directory}/root.key`,
      home: slot.home,
      // A host cannot see whether a process of another host lives.
      ...(this.#options.database === 'sqlite' ? {} : { host: `host-${slot.index}` }),
      wireLog: slot.wireLog,
      scale: this.#options.scale,
      definition,
      origin,
      tasks: 2,
      seed: Math.floor(this.#dice.fraction() * 2 ** 32),
    };
  }

  /** Processes of one host share a home; on PostgreSQL each stands for a host of its own. */
  #place(index: number): { index: number; home: string; wireLog: string } {
    const home = this.#options.database === 'sqlite' ? 'shared' : `host-${index}`;
    return { index, home: `${this.#directory}/${home}`, wireLog: `${this.#directory}/worker-${index}.wire` };
  }

  #wireLogs(): string[] {
    return Array.from({ length: this.#options.workers + 1 }, (_, index) => this.#place(index - 1).wireLog);
  }

  #database(): string {
    return this.#options.database === 'sqlite' ? `sqlite:${this.#directory}/grantry.db` : this.#options.database;
  }

  #living(): string[] {
    return [...this.#families.keys()].filter((tenant) => !this.#replaced.has(tenant));
  }

  #seconds(): number {
    return (performance.now() - this.#startedAt) / 1_000;
  }

  #tellProgress(): void {
    this.#options.onProgress({
      counted: this.#counted,
      kills: this.#kills,
      pauses: this.#pauses,
      condemned: this.#replaced.size,
      seconds: this.#seconds(),
    });
  }
}

interface Others {
  readonly provider: Child<ProviderCommand>;
  readonly clerk: Child<WorkerCommand>;
  readonly evidence: Evidence;
}

function disposable(it: Evidence): AsyncDisposable & { readonly it: Evidence } {
  return { it, [Symbol.asyncDispose]: () => it.close() };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
