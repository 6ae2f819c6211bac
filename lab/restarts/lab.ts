import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { freePort } from '../../test/support/free-port.ts';
import { Child } from '../kill-lab/child.ts';
import type { Minted, ProviderCommand, ProviderJudgement, ProviderStarted } from '../kill-lab/messages.ts';
import { bundleRestarts, type Programs } from './bundle.ts';
import { type Answer, pause, RetryingClient } from './client.ts';
import { judge, type RestartsResult } from './judge.ts';
import { type Ended, ServerPlace } from './server-place.ts';

export interface RestartsOptions {
  /** Database: `sqlite`, or the URL of an empty PostgreSQL database. */
  readonly database: string;
  readonly seconds: number;
  /** Time between two SIGTERM. */
  readonly everyMs: number;
  /** Number of concurrent callers, and of grants per provider. */
  readonly callers: number;
  readonly grants: number;
  /** Range of the providers' answer times, in milliseconds. */
  readonly delayMs: readonly [number, number];
}

const profiles = ['timed_overlap', 'strict'] as const;

/** Restarts two servers on one database in turn while callers request short-lived tokens. */
export async function runRestarts(options: RestartsOptions): Promise<RestartsResult> {
  const directory = mkdtempSync(`${tmpdir()}/grantry-restarts-`);
  using programs = await bundleRestarts();
  const lab = new Lab(options, directory, programs);
  try {
    return await lab.run();
  } finally {
    await lab.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Tenant {
  readonly path: string;
  readonly profile: string;
  readonly family: string;
}

class Lab {
  readonly #options: RestartsOptions;
  readonly #directory: string;
  readonly #programs: Programs;
  readonly #providers = new Map<string, Child<ProviderCommand>>();
  readonly #places: ServerPlace[] = [];
  readonly #ended: Ended[] = [];
  readonly #tenants: Tenant[] = [];

  constructor(options: RestartsOptions, directory: string, programs: Programs) {
    this.#options = options;
    this.#directory = directory;
    this.#programs = programs;
  }

  async run(): Promise<RestartsResult> {
    const key = 'gry_restarts-7Qm2xK9vRt4bZ-0pLw8Yc3w';
    writeFileSync(`${this.#directory}/admin.key`, key, { mode: 0o600 });
    for (let index = 0; index < 2; index += 1) this.#places.push(await this.#place(index));
    // The first server creates the schema and the root key.
    for (const place of this.#places) await place.start();
    const client = new RetryingClient(
      this.#places.map(({ port }) => port),
      key,
    );
    for (const profile of profiles) await this.#connect(client, profile);
    const setUp = client.seen.waitsMs.length;
    const asking = new AbortController();
    const callers = Array.from({ length: this.#options.callers }, (_, index) =>
      this.#call(client, index, asking.signal),
    );
    await this.#restart();
    asking.abort();
    await Promise.all(callers);
    for (const provider of this.#providers.values()) await provider.ask({ ask: 'calm' });
    const waitsMs = client.seen.waitsMs.slice(setUp);
    await this.#refreshAll(client);
    for (const place of this.#places) this.#ended.push(await place.stop());
    client.close();
    const judgements = new Map<string, ProviderJudgement>();
    for (const [profile, provider] of this.#providers) judgements.set(profile, await provider.ask({ ask: 'judge' }));
    return judge({ ended: this.#ended, seen: client.seen, waitsMs, tenants: this.#tenants, judgements });
  }

  async end(): Promise<void> {
    for (const place of this.#places) place.kill();
    for (const provider of this.#providers.values()) await provider.kill();
  }

  async #place(index: number): Promise<ServerPlace> {
    const shared = this.#options.database === 'sqlite';
    // Processes of one host share a home; on PostgreSQL each process stands for its own host.
    const home = `${this.#directory}/${shared ? 'home' : `host-${index}`}`;
    mkdirSync(home, { recursive: true, mode: 0o700 });
    return new ServerPlace(this.#programs.grantry, await freePort(), {
      GRANTRY_HOME: home,
      GRANTRY_DATABASE: shared ? `sqlite:${this.#directory}/grantry.db` : this.#options.database,
      GRANTRY_ROOT_KEY: `file:${this.#directory}/root.key`,
      GRANTRY_ADMIN_KEY_FILE: `${this.#directory}/admin.key`,
      GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1',
      NODE_COMPILE_CACHE: `${this.#directory}/compiled`,
    });
  }

  /** Adds a provider whose tokens last twenty seconds, and grants at it. */
  async #connect(client: RetryingClient, profile: string): Promise<void> {
    const provider = await Child.start<ProviderCommand>(this.#programs.provider);
    this.#providers.set(profile, provider);
    const plan = { profile, accessTokenSeconds: 20, overlapSeconds: 60, delayMs: this.#options.delayMs, seed: 1 };
    const started = await provider.ask<ProviderStarted>({ ask: 'start', plan });
    await client.ask('PUT', `/v1/providers/${profile}`, started.definition);
    const app = { provider: profile, client_id: started.clientId, client_secret: started.clientSecret };
    await client.ask('PUT', `/v1/apps/${profile}`, app);
    const minted = await provider.ask<Minted[]>({ ask: 'mint', count: this.#options.grants });
    for (const [index, { family, refreshToken }] of minted.entries()) {
      const path = `/v1/tenants/tenant-${index}/grants/${profile}`;
      await client.ask('PUT', path, { app: profile, refresh_token: refreshToken });
      this.#tenants.push({ path, profile, family });
    }
  }

  async #call(client: RetryingClient, caller: number, signal: AbortSignal): Promise<void> {
    for (let turn = caller; !signal.aborted; turn += 7) {
      const tenant = this.#tenants[turn % this.#tenants.length];
      const path = `${tenant?.path}/token`;
      const generation = generationIn(await client.ask('GET', path));
      // Every third caller reports that the API rejected the token, which requests a refresh.
      if (turn % 3 === 0) await client.ask('POST', path, { rejected_generation: generation });
      await pause(5);
    }
  }

  /** Sends SIGTERM at regular intervals, to each place in turn. */
  async #restart(): Promise<void> {
    const { seconds, everyMs } = this.#options;
    const startedAt = performance.now();
    const restarting: Promise<void>[] = [];
    for (let beat = 1; beat * everyMs < seconds * 1_000; beat += 1) {
      await pause(Math.max(0, startedAt + beat * everyMs - performance.now()));
      const place = this.#places[beat % this.#places.length];
      // On a slow machine the server may not be back yet.
      if (place?.isUp !== true) continue;
      restarting.push(this.#restartOne(place));
    }
    await Promise.all(restarting);
  }

  async #restartOne(place: ServerPlace): Promise<void> {
    this.#ended.push(await place.stop());
    await place.start();
  }

  /** Refreshes each grant once more: only the newest refresh token of its family can do that. */
  async #refreshAll(client: RetryingClient): Promise<void> {
    for (const { path } of this.#tenants) {
      const generation = generationIn(await client.ask('GET', `${path}/token`));
      await client.ask('POST', `${path}/token`, { rejected_generation: generation });
    }
  }
}

function generationIn({ body }: Answer): number {
  // The answer comes from the route itself.
  const { generation = 0 } = JSON.parse(body === '' ? '{}' : body) as { generation?: number };
  return generation;
}
