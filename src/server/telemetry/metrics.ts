import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Meter } from '../../base/meter.ts';
import type { World } from '../../base/world.ts';
import type { Vault } from '../../vault/types.ts';
import { type Gauges, readGauges } from '../../vault/upkeep/gauges.ts';
import { RequestHistogram } from './request-histogram.ts';

export interface MetricsOptions {
  readonly world: World;
  /** Makes tenants labels: readers of the metrics then see the customers' names. */
  readonly tenants: boolean;
}

/** The facts of one answer that metrics count. */
export interface AnsweredRequest {
  readonly method: string;
  /** The template of the route, never the path of the request. */
  readonly route: string;
  readonly status: number;
  readonly tenant: string | null;
  readonly ms: number;
}

/** Queues are counted at most once per this many milliseconds. */
const gaugesHeldMs = 10_000;

const slowSeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90];
const lifeSeconds = [0, 60, 300, 900, 1_800, 3_600, 7_200, 43_200, 86_400];

/** Collects the metrics of this process and renders them for Prometheus. */
export class Metrics implements Meter {
  readonly #registry = new Registry();
  readonly #options: MetricsOptions;
  readonly #requests = new RequestHistogram();
  readonly #refreshes;
  readonly #asked;
  readonly #waits;
  readonly #life;
  readonly #scrubbed;
  readonly #gauges;
  #read: { readonly at: number; readonly gauges: Promise<Gauges> } | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    const registers = [this.#registry];
    const tenant = options.tenants ? ['tenant'] : [];
    collectDefaultMetrics({ register: this.#registry });
    this.#refreshes = new Counter({
      name: 'grantry_refreshes_total',
      help: 'Refresh attempts by outcome: saved, taken, again, or the code of the error',
      labelNames: ['provider', 'outcome', ...tenant],
      registers,
    });
    this.#asked = new Histogram({
      name: 'grantry_provider_request_seconds',
      help: 'Requests to token endpoints by outcome: answered_2xx to answered_5xx, not_sent or lost',
      labelNames: ['provider', 'dc', 'outcome'],
      buckets: slowSeconds,
      registers,
    });
    this.#waits = new Histogram({
      name: 'grantry_lease_wait_seconds',
      help: 'Time spent waiting for the refresh of another process',
      labelNames: ['provider'],
      buckets: slowSeconds,
      registers,
    });
    this.#life = new Histogram({
      name: 'grantry_token_life_seconds',
      help: 'Time to expiry of tokens when they were read from the database',
      labelNames: ['provider'],
      buckets: lifeSeconds,
      registers,
    });
    this.#scrubbed = new Counter({
      name: 'grantry_log_scrubbed_total',
      help: 'Log lines from which a likely secret was removed; each is a defect',
      registers,
    });
    this.#gauges = makeGauges(registers);
  }

  refreshEnded({ tenant, provider, outcome }: { tenant: string; provider: string; outcome: string }): void {
    this.#refreshes.inc({ provider, outcome, ...this.#tenantLabel(tenant) });
  }

  providerAsked(of: { provider: string; dc: string; outcome: string }, ms: number): void {
    this.#asked.observe(of, ms / 1_000);
  }

  leaseAwaited(of: { provider: string }, ms: number): void {
    this.#waits.observe(of, ms / 1_000);
  }

  tokenRead(of: { provider: string }, lifeLeftMs: number): void {
    this.#life.observe(of, lifeLeftMs / 1_000);
  }

  requestAnswered({ method, route, status, tenant, ms }: AnsweredRequest): void {
    // A refused request may name a tenant that does not exist.
    const named = status < 400 ? (tenant ?? '') : '';
    this.#requests.observe(method, route, status, this.#options.tenants ? named : undefined, ms);
  }

  lineScrubbed(): void {
    this.#scrubbed.inc();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async render(vault: Vault): Promise<string> {
    show(this.#gauges, await this.#readGauges(vault));
    return `${await this.#registry.metrics()}\n${this.#requests.render()}`;
  }

  #readGauges(vault: Vault): Promise<Gauges> {
    const now = this.#options.world.monotonic();
    if (this.#read === undefined || now - this.#read.at >= gaugesHeldMs) {
      this.#read = { at: now, gauges: readGauges(vault) };
    }
    return this.#read.gauges;
  }

  #tenantLabel(tenant: string): { tenant?: string } {
    return this.#options.tenants ? { tenant } : {};
  }
}

type GaugeSet = ReturnType<typeof makeGauges>;

function makeGauges(registers: Registry[]) {
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> =>
    new Gauge({ name, help, labelNames, registers });
  return {
    answers: new Counter({
      name: 'grantry_hand_outs_total',
      help: 'Tokens handed out by source; callers that share one answer count once',
      labelNames: ['source'],
      registers,
    }),
    breakers: gauge('grantry_breaker_open', '1 while the circuit breaker of a provider is open', ['provider', 'dc']),
    calls: gauge('grantry_provider_calls', 'Running calls to a provider', ['provider', 'dc']),
    waiting: gauge('grantry_provider_calls_waiting', 'Calls that wait for a free slot', ['provider', 'dc']),
    quarantined: gauge('grantry_quarantined', '1 while the database is quarantined'),
    unsafe: gauge('grantry_unsafe_switch', '1 while http:// and loopback providers are allowed'),
    database: gauge('grantry_database_up', '1 while the database answers'),
    due: gauge('grantry_due_grants', 'Grants whose refresh ahead of need is due, up to 10000'),
    dueFor: gauge('grantry_due_seconds', 'Seconds since the oldest of them became due'),
    doubtful: gauge('grantry_grants', 'Grants in a state other than active, up to 10000', ['state']),
    budgetUsed: gauge(
      'grantry_token_budget_used_ratio',
      'Highest share of the allowed token requests that one refresh token has used',
      ['provider'],
    ),
    budgetSpent: gauge('grantry_token_budget_spent', 'Refresh tokens without a token request left, up to 10000', [
      'provider',
    ]),
    slotsFilling: gauge(
      'grantry_slots_filling',
      'Users whose refresh tokens near the number that the provider keeps, up to 10000',
      ['provider'],
    ),
    revocations: gauge('grantry_revocations', 'Tokens that wait to be revoked, up to 10000'),
    spool: gauge(
      'grantry_spool_files',
      'Files in the spool: waiting, answer (not committed), refused, unread and saved',
      ['kind'],
    ),
  };
}

function show(to: GaugeSet, gauges: Gauges): void {
  const { answers, compartments, quarantined, unsafe, queues, providerLimits, spool } = gauges;
  to.answers.reset();
  for (const [source, count] of Object.entries(answers)) to.answers.inc({ source }, count);
  for (const { name, calls, waiting, open } of compartments) {
    const [provider = '', dc = ''] = name.split('/');
    to.breakers.set({ provider, dc }, open ? 1 : 0);
    to.calls.set({ provider, dc }, calls);
    to.waiting.set({ provider, dc }, waiting);
  }
  to.quarantined.set(quarantined ? 1 : 0);
  to.unsafe.set(unsafe ? 1 : 0);
  to.database.set(queues === null ? 0 : 1);
  if (queues !== null) {
    to.due.set(queues.due);
    to.dueFor.set(queues.dueForMs / 1_000);
    to.revocations.set(queues.revocations);
    to.doubtful.set({ state: 'uncertain' }, queues.uncertain);
    to.doubtful.set({ state: 'suspect' }, queues.suspect);
    to.doubtful.set({ state: 'reauthorization_required' }, queues.reauthorizationRequired);
  }
  if (providerLimits !== null) {
    for (const gauge of [to.budgetUsed, to.budgetSpent, to.slotsFilling]) gauge.reset();
    for (const [provider, { budgetUsed, budgetSpent, slotsFilling }] of providerLimits) {
      to.budgetUsed.set({ provider }, budgetUsed);
      to.budgetSpent.set({ provider }, budgetSpent);
      to.slotsFilling.set({ provider }, slotsFilling);
    }
  }
  for (const [kind, files] of Object.entries(spool ?? {})) to.spool.set({ kind }, files);
}
