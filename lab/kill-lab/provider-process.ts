/** Runs the provider as a separate process: the simulator with slow answers, and a digest of its history. */
import {
  builtInProfile,
  demoClient,
  fingerprintOf,
  type HistoryEvent,
  type RunningSimulator,
  rotationProfiles,
  startSimulator,
} from '../../src/simulator/index.ts';
import { Dice } from '../dice.ts';
import type {
  FamilyFacts,
  Minted,
  ProviderCommand,
  ProviderJudgement,
  ProviderPlan,
  ProviderStarted,
} from './messages.ts';

/** Number of slow answers that wait for their requests. */
const faultsKept = 200;
/** Many times the number of events between two looks. */
const historyKept = 5_000;
const user = 'user@us.example';

interface Digest {
  requests: number;
  replays: number;
  worst: number;
  lastRequestAt: number;
  lastIssued: FamilyFacts['lastIssued'];
  /** Number of requests for each of the last few refresh tokens. */
  recent: Map<string, number>;
}

class Provider {
  readonly #simulator: RunningSimulator;
  readonly #plan: ProviderPlan;
  readonly #dice: Dice;
  readonly #families = new Map<string, Digest>();
  #after = 0;
  #tokenRequests = 0;
  #replays = 0;
  #calm = false;

  constructor(simulator: RunningSimulator, plan: ProviderPlan) {
    this.#simulator = simulator;
    this.#plan = plan;
    this.#dice = new Dice(plan.seed);
    this.#slowDown();
    setInterval(() => {
      this.#slowDown();
      this.#digest();
    }, 100);
  }

  started(): ProviderStarted {
    const definition = this.#simulator.definition(this.#plan.profile);
    const origin = Object.values(this.#simulator.origins())[0];
    if (origin === undefined) throw new Error('the provider listens nowhere');
    return { definition, origin, clientId: demoClient.clientId, clientSecret: String(demoClient.secret) };
  }

  mint(count: number): Minted[] {
    const { profile } = this.#plan;
    return Array.from({ length: count }, () =>
      this.#simulator.mintTokens({ profile, clientId: demoClient.clientId, user, scopes: ['read'] }),
    );
  }

  calm(): void {
    this.#calm = true;
    this.#simulator.faults.clear();
  }

  judge(): ProviderJudgement {
    this.#digest();
    const families = [...this.#families].map(([family, digest]): FamilyFacts => {
      const { requests, replays, worst, lastRequestAt, lastIssued } = digest;
      const facts = { requests, replays, worst, lastRequestAt, lastIssued };
      const alive = this.#simulator.currentRefreshToken(family);
      return { family, alive: alive === null ? null : fingerprintOf(alive), ...facts };
    });
    return {
      families,
      tokenRequests: this.#tokenRequests,
      replays: this.#replays,
    };
  }

  /** Delays two answers in three after processing and one request in three before it. */
  #slowDown(): void {
    if (this.#calm) return;
    const [least, most] = this.#plan.delayMs;
    for (let left = faultsKept - this.#simulator.faults.pending().length; left > 0; left -= 1) {
      const when = this.#dice.fraction() < 2 / 3 ? 'after' : 'before';
      const effect = { kind: 'delay', ms: Math.round(this.#dice.between(least, most)), when } as const;
      this.#simulator.faults.add({ endpoint: 'token', effect });
    }
  }

  #digest(): void {
    for (const event of this.#simulator.history.events(this.#after)) {
      this.#after = event.sequence;
      if (event.kind === 'token') this.#note(event);
    }
  }

  #note(event: HistoryEvent): void {
    if (event.family === undefined || event.token === undefined) return;
    const digest = this.#families.get(event.family) ?? {
      requests: 0,
      replays: 0,
      worst: 0,
      lastRequestAt: 0,
      lastIssued: null,
      recent: new Map<string, number>(),
    };
    this.#families.set(event.family, digest);
    const count = (digest.recent.get(event.token) ?? 0) + 1;
    digest.recent.set(event.token, count);
    const oldest = digest.recent.keys().next().value;
    if (digest.recent.size > 8 && oldest !== undefined) digest.recent.delete(oldest);
    digest.requests += 1;
    digest.worst = Math.max(digest.worst, count);
    digest.lastRequestAt = event.at;
    this.#tokenRequests += 1;
    if (event.replay === true) {
      digest.replays += 1;
      this.#replays += 1;
    }
    if (event.outcome === 'issued') {
      digest.lastIssued = { at: event.at, token: event.token, successor: event.successor ?? null };
    }
  }
}

let provider: Provider | undefined;

async function answer(command: ProviderCommand): Promise<unknown> {
  if (command.ask === 'start') {
    const { plan } = command;
    const known = rotationProfiles.find((name) => name === plan.profile);
    if (known === undefined) throw new Error(`there is no rotation profile ${plan.profile}`);
    const profile = builtInProfile(known, {
      accessTokenSeconds: plan.accessTokenSeconds,
      // No health call: the vault then believes every report of a rejected token.
      health: null,
      ...(known.includes('overlap') ? { rotation: { overlapSeconds: plan.overlapSeconds } } : {}),
    });
    provider = new Provider(await startSimulator({ profiles: [profile], historyCap: historyKept }), plan);
    return provider.started();
  }
  if (provider === undefined) throw new Error('not started');
  if (command.ask === 'mint') return provider.mint(command.count);
  if (command.ask === 'calm') return provider.calm();
  return provider.judge();
}

process.on('message', (message) => {
  // Only the lab writes here.
  const { id, command } = message as { id: number; command: ProviderCommand };
  answer(command).then(
    (value) => process.send?.({ id, value: value ?? null }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0, value: null });
