/** A program that uses the library as any other, and is killed. */
import { openSync, writeSync } from 'node:fs';
import { flushCompileCache, syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

import { isGrantryError, openVault, systemWorld, type Vault, type World } from '../../src/index.ts';
import { fingerprintOf } from '../../src/simulator/state/tokens.ts';
import { Dice } from '../dice.ts';
import type { Called, Healed, StoreGrant, WorkerCommand, WorkerPlan } from './messages.ts';
import { waitedForProcessorMs } from './processor.ts';

/** The reason of a grant whose verdict waits because the provider refuses many grants. */
const suspended = 'verdicts_suspended';
/** Uses one token in this many: at some providers the first use ends the previous token. */
const usesOneIn = 4;
/** Reports one token in this many as rejected, which requests the next generation at once. */
const rejectsOneIn = 3;

class Worker {
  readonly vault: Vault;
  readonly #plan: WorkerPlan;
  readonly #world = systemWorld({ allowLoopback: true });
  readonly #dice: Dice;
  readonly #over = new Set<string>();
  #tenants: readonly string[] = [];
  #working = false;

  constructor(vault: Vault, plan: WorkerPlan) {
    this.vault = vault;
    this.#plan = plan;
    this.#dice = new Dice(plan.seed);
  }

  async putApp(clientId: string, clientSecret: string): Promise<void> {
    await this.vault.apps.put('lab', { provider: this.#plan.definition.id, clientId, clientSecret });
    // A process that is killed later would never write it.
    flushCompileCache();
  }

  async store(grants: readonly StoreGrant[]): Promise<void> {
    for (const { tenant, refreshToken, accessToken } of grants) {
      const access = accessToken === undefined ? {} : { accessToken, expiresIn: 1 };
      await patiently(() => this.vault.storeTokens(this.#key(tenant), { app: 'lab', refreshToken, ...access }));
    }
  }

  work(tenants: readonly string[]): void {
    this.#tenants = tenants;
    if (this.#working) return;
    this.#working = true;
    for (let task = 0; task < this.#plan.tasks; task += 1) void this.#loop();
  }

  want(grants: readonly { tenant: string; generation: number }[]): void {
    for (const { tenant, generation } of grants) void this.#next(tenant, generation);
  }

  async call(tenant: string, callers: number, at: number): Promise<Called> {
    await pause(at - Date.now());
    const waitsMs: number[] = [];
    const generations: number[] = [];
    const errors: string[] = [];
    const one = async (): Promise<void> => {
      const startedAt = performance.now();
      try {
        generations.push((await this.vault.getAccessToken(this.#key(tenant))).generation);
        waitsMs.push(performance.now() - startedAt);
      } catch (error) {
        errors.push(isGrantryError(error) ? error.code : String(error));
      }
    };
    await Promise.all(Array.from({ length: callers }, one));
    return { waitsMs, generations, errors };
  }

  async heal(tenants: readonly string[], patienceMs: number): Promise<Healed[]> {
    this.#tenants = [];
    const waiting = [...tenants];
    const healed: Healed[] = [];
    const one = async (): Promise<void> => {
      for (let tenant = waiting.pop(); tenant !== undefined; tenant = waiting.pop()) {
        healed.push(await this.#healOne(tenant, patienceMs));
      }
    };
    // A grant that waits for an uncertain refresh must not delay the others.
    await Promise.all(Array.from({ length: Math.min(64, tenants.length) }, one));
    return healed;
  }

  /** Retries until a refresh with the stored token succeeds or the grant is known to be over. */
  async #healOne(tenant: string, patienceMs: number): Promise<Healed> {
    const until = performance.now() + patienceMs;
    let seen: number | undefined;
    let reason: string | null = null;
    while (performance.now() < until) {
      try {
        const grant = await this.vault.grants.get(this.#key(tenant));
        if (grant === null) return { tenant, outcome: 'stuck', reason: 'no such grant' };
        if (grant.state === 'reauthorization_required') {
          return { tenant, outcome: 'reauthorization_required', reason: grant.reason };
        }
        seen ??= grant.generation;
        if (grant.generation > seen && grant.state === 'active') return { tenant, outcome: 'alive', reason: null };
        await this.vault.rejectAccessToken(this.#key(tenant), grant.generation, { minValidity: 0 });
      } catch (error) {
        reason = isGrantryError(error) ? error.code : String(error);
        await pause(Math.min(250, isGrantryError(error) ? (error.retryAfterMs ?? 50) : 50));
      }
    }
    const grant = await this.vault.grants.get(this.#key(tenant)).catch(() => null);
    return { tenant, outcome: 'stuck', reason: grant?.reason === suspended ? suspended : reason };
  }

  async #loop(): Promise<void> {
    for (;;) {
      const tenant = this.#dice.pick(this.#tenants);
      if (tenant === undefined || this.#over.has(tenant)) {
        await pause(5);
        continue;
      }
      await this.#use(tenant);
      await pause(1);
    }
  }

  async #use(tenant: string): Promise<void> {
    try {
      const token = await this.vault.getAccessToken(this.#key(tenant), { minValidity: 0 });
      if (this.#dice.fraction() < 1 / usesOneIn) await this.#callApi(token.accessToken);
      if (this.#dice.fraction() < 1 / rejectsOneIn) await this.#next(tenant, token.generation);
    } catch (error) {
      this.#noteFailure(tenant, error);
    }
  }

  async #next(tenant: string, generation: number): Promise<void> {
    const until = performance.now() + 60_000;
    while (performance.now() < until) {
      try {
        await this.vault.rejectAccessToken(this.#key(tenant), generation, { minValidity: 0 });
        return;
      } catch (error) {
        this.#noteFailure(tenant, error);
        // A doubt that waits for its deadline belongs to another process by then.
        if (!isGrantryError(error) || (error.retryAfterMs ?? 0) > 10_000) return;
        if (error.code === 'reauthorization_required' || error.code === 'grant_not_found') return;
        await pause(Math.max(5, error.retryAfterMs ?? 20));
      }
    }
  }

  #noteFailure(tenant: string, error: unknown): void {
    if (!isGrantryError(error)) {
      process.stderr.write(`worker ${process.pid}: ${String(error instanceof Error ? error.stack : error)}\n`);
      return;
    }
    if (error.code === 'reauthorization_required') this.#over.add(tenant);
    if (error.code === 'internal') process.stderr.write(`worker ${process.pid}: ${error.stack}\n`);
  }

  async #callApi(accessToken: string): Promise<void> {
    try {
      const headers = { authorization: `Bearer ${accessToken}` };
      // The library's own HTTP client is loaded anyway; loading the global one would take most of a start.
      await (await this.#world.fetch(`${this.#plan.origin}/api/me`, { method: 'GET', headers })).arrayBuffer();
    } catch {
      // The provider's history records the request.
    }
  }

  #key(tenant: string): { tenant: string; provider: string } {
    return { tenant, provider: this.#plan.definition.id };
  }
}

/** Creates the real world with a log of each token request as it is sent and of each refresh token as it arrives. */
function watchedWorld(plan: WorkerPlan): World {
  const world = systemWorld({ timeScale: plan.scale, allowLoopback: true });
  const log = openSync(plan.wireLog, 'a');
  const note = (what: string, token: string): void => {
    writeSync(log, `${what} ${Date.now()} ${process.pid} ${token} ${waitedForProcessorMs(process.pid) ?? ''}\n`);
  };
  const fetchWatched: World['fetch'] = async (url, init) => {
    if (init.beforeSend === undefined) return world.fetch(url, init);
    const spent = new URLSearchParams(typeof init.body === 'string' ? init.body : '').get('refresh_token');
    const beforeSend = (): void => {
      init.beforeSend?.();
      if (spent !== null) note('sent', fingerprintOf(spent));
    };
    const response = await world.fetch(url, { ...init, beforeSend });
    const text = await response.text();
    const made = refreshTokenIn(text);
    if (made !== undefined) note('got', fingerprintOf(made));
    return new Response(text, { status: response.status, headers: response.headers });
  };
  return { ...world, fetch: fetchWatched };
}

function refreshTokenIn(text: string): string | undefined {
  try {
    const said: unknown = JSON.parse(text);
    const token: unknown = typeof said === 'object' && said !== null ? Reflect.get(said, 'refresh_token') : undefined;
    return typeof token === 'string' ? token : undefined;
  } catch {
    return undefined;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Retries storage errors: a process that was paused inside a SQLite transaction blocks all others until it continues.
 */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries > 100 || !isGrantryError(error, 'storage_unavailable')) throw error;
      await pause(100);
    }
  }
}

async function open(plan: WorkerPlan): Promise<Worker> {
  const { host } = plan;
  if (host !== undefined) {
    os.hostname = () => host;
    syncBuiltinESMExports();
  }
  const vault = await openVault({
    database: plan.database,
    rootKey: plan.rootKey,
    home: plan.home,
    providers: [plan.definition],
    world: watchedWorld(plan),
    poolMax: 4,
    unsafeAllowLoopbackProviders: 'the provider of the kill lab is simulated on this machine',
  });
  return new Worker(vault, plan);
}

let worker: Worker | undefined;

async function answer(command: WorkerCommand): Promise<unknown> {
  if (command.ask === 'open') {
    const { plan } = command;
    worker = await patiently(() => open(plan));
    if (plan.warm === true) {
      // Loads everything that the first request loads, so that later time is spent on work.
      await systemWorld({ allowLoopback: true }).fetch(`${plan.origin}/api/me`, { method: 'GET', headers: {} });
      await import('../../src/vault/refresh/refresh.ts');
    }
    return worker.vault.quarantine;
  }
  if (worker === undefined) throw new Error('not open');
  switch (command.ask) {
    case 'app':
      return worker.putApp(command.clientId, command.clientSecret);
    case 'store':
      return worker.store(command.grants);
    case 'work':
      return worker.work(command.tenants);
    case 'want':
      return worker.want(command.grants);
    case 'heal':
      return worker.heal(command.tenants, command.patienceMs);
    case 'call':
      return worker.call(command.tenant, command.callers, command.at);
    default:
      worker.work([]);
      return worker.vault.close();
  }
}

process.on('message', (message) => {
  // Only the lab writes here.
  const { id, command } = message as { id: number; command: WorkerCommand };
  answer(command).then(
    (value) => process.send?.({ id, value: value ?? null }),
    (error: unknown) => process.send?.({ id, error: String(error instanceof Error ? error.stack : error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0, value: null });
