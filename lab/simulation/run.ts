import { demoClient } from '../../src/simulator/index.ts';
import { retireOwner } from '../../src/vault/spool/owner.ts';
import { startWorkers } from '../../src/workers/workers.ts';
import { Dice } from './host/dice.ts';
import { Operator, redirectUri } from './operator.ts';
import { forgetProcesses } from './ports/processes.ts';
import { settle } from './settle.ts';
import { Simulation } from './simulation.ts';
import { Life } from './world/life.ts';
import { type WorldOptions, WorldState } from './world/state.ts';

/** Everything that a run reports. */
export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly coverage: ReadonlyMap<string, number>;
  /** The hash of every event that happened, in order. */
  readonly digest: string;
  readonly steps: number;
  readonly virtualMs: number;
}

export interface RunOptions extends WorldOptions {
  readonly seed: number;
}

const prepareMs = 60_000;
const healMs = 1_500_000;

/** Runs one seed: sets the world up in peace, lets the faults strike, ends them, and judges what is left. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const dice = new Dice(options.seed);
  const state = new WorldState(dice, options);
  const { scheduler, judge, plan } = state;
  const simulation = new Simulation(state, dice);
  try {
    await prepare(simulation, dice);
    new Operator(simulation, dice.fork()).plan();
    simulation.chances.watch();
    await scheduler.runUntil(scheduler.now + plan.chaosMs, () => judge.violations.length > 0);
    if (judge.violations.length === 0) await heal(simulation);
  } finally {
    for (const life of simulation.lives) life?.end();
    judge.close();
    forgetProcesses();
    for (const owner of state.unseen) retireOwner(owner);
  }
  return {
    seed: options.seed,
    violations: judge.violations,
    coverage: state.coverage.counts,
    digest: scheduler.digest(),
    steps: scheduler.steps,
    virtualMs: scheduler.now,
  };
}

/** Makes apps and first grants without faults, then starts every process. */
async function prepare(simulation: Simulation, dice: Dice): Promise<void> {
  const { state } = simulation;
  const { chaos, scheduler, judge, plan } = state;
  state.chaos = false;
  const life = new Life(simulation, { name: 'setup', slot: 0, dice: dice.fork(), skewMs: 0 });
  let finished = false;
  setUp(simulation, life)
    .catch((error: unknown) => judge.violated(`the set-up failed: ${String(error)}`))
    .finally(() => {
      finished = true;
    });
  await scheduler.runUntil(prepareMs, () => finished);
  if (!finished) judge.violated('the set-up did not end');
  life.end();
  state.chaos = chaos;
  for (let slot = 0; slot < plan.processes; slot += 1) simulation.start(slot);
}

async function setUp(simulation: Simulation, life: Life): Promise<void> {
  const { plan, judge } = simulation.state;
  const vault = await simulation.openVault(life);
  for (const { id } of plan.profiles) {
    if (!judge.grants.some((grant) => grant.provider === id)) continue;
    await vault.apps.put(id, {
      provider: id,
      clientId: demoClient.clientId,
      clientSecret: demoClient.secret ?? '',
      redirectUri,
    });
  }
  const [sharing, sharer] = plan.faults.shared_token > 0 ? judge.grants.filter(canShare) : [];
  for (const grant of judge.grants) {
    const key = { tenant: grant.tenant, provider: grant.provider };
    if (grant !== sharer || sharing === undefined) await vault.storeTokens(key, simulation.state.consent(grant));
    else await vault.storeTokens(key, { refreshToken: judge.share(sharing, sharer) });
  }
  await vault.close();
}

/** True if tokens do not rotate: two grants may live on one token then. */
function canShare({ provider }: { provider: string }): boolean {
  return provider === 'none';
}

/** Ends every fault: every process runs again, and every grant must reach a settled state. */
async function heal(simulation: Simulation): Promise<void> {
  const { state, lives } = simulation;
  state.scheduler.note(null, 'healing begins');
  state.chaos = false;
  state.healedAt = state.scheduler.now;
  state.lyingUntil = 0;
  state.refused = null;
  for (const life of lives) {
    if (life === undefined) continue;
    simulation.thaw(life);
    life.storeDownUntil = 0;
    if (life.dead || life.closing || life.vault === undefined) continue;
    life.workers ??= startWorkers(life.vault);
  }
  await settle(simulation, healMs + state.behindMs);
}
