/**
 * The fault ladder: the n-th call of any kind fails, for n = 1, 2, 3 … until a run has no failure. Every statement, commit,
 * file operation and request counts; it fails before it did anything, or after it did everything. Afterwards nothing
 * fails, and the grant must work, or be lost by the provider's own rules and say so.
 */

import { randomFillSync, randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isGrantryError } from '../../../src/base/errors.ts';
import type { GrantKey } from '../../../src/base/ids.ts';
import { NotSentError } from '../../../src/base/network/outbound-errors.ts';
import type { World, WorldRequest } from '../../../src/base/world.ts';
import { createSimulator, demoClient, type MintedTokens, type Simulator } from '../../../src/simulator/index.ts';
import { openVault } from '../../../src/vault/open.ts';
import type { Vault } from '../../../src/vault/types.ts';
import { Disk, diskError, spoolDirectory } from '../host/disk.ts';
import { type PortProcess, registerProcess, type StepKind } from '../ports/processes.ts';
import { StallWatch } from './stall-watch.ts';

export type When = 'before' | 'after';

export interface Rung {
  readonly operation: string;
  readonly provider: string;
  readonly when: When;
  readonly n: number;
  /** The call that failed; null if no call was left. */
  readonly failed: string | null;
  readonly outcome: string;
  readonly violations: readonly string[];
}

/** Times are scaled as a whole: a strict lease of 120 s lasts 1.44 s. */
const timeScale = 0.012;
const callerWaitMs = 3_000;
const redirectUri = 'https://app.example/callback';
const rungsMax = 400;
/** A machine that stalls this process longer than this breaks the timing that the ladder depends on. */
const stallMs = 250;
/** Rungs that are climbed again after a stall, per ladder: a vault that blocks its own process is still found. */
const stallsMax = 5;
const homes = { count: 0 };

/** One process whose n-th call fails. */
class LadderProcess implements PortProcess {
  readonly disk: Disk;
  readonly handles = new Set<{ close(): void }>();
  readonly name: string;
  readonly world: World;
  failsAt = 0;
  when: When = 'before';
  /** From the first failure on everything of the store fails, as when it is gone. */
  forGood = false;
  failed: string | null = null;
  #calls = 0;

  constructor(simulator: Simulator, disk: Disk) {
    homes.count += 1;
    this.name = `ladder${homes.count}`;
    this.disk = disk;
    this.world = {
      timeScale,
      now: () => Date.now(),
      monotonic: () => performance.now(),
      sleep: async (ms, signal, options) => {
        await pause(ms, undefined, { ...(signal === undefined ? {} : { signal }), ref: options?.background !== true });
      },
      randomBytes: (count) => randomFillSync(new Uint8Array(count)),
      fetch: (url, init) => this.#fetch(simulator, url, init),
    };
    registerProcess(this.name, this.world, this);
  }

  arm(n: number, when: When): void {
    this.#calls = 0;
    this.failsAt = n;
    this.when = when;
    this.failed = null;
  }

  now(): number {
    return this.world.now();
  }

  async step(kind: StepKind, what: string): Promise<void> {
    if (kind === 'rollback') return;
    if (this.forGood && this.failed !== null && !isFile(kind)) throw failureOf(kind);
    if (this.#strikes('before', what)) throw failureOf(kind);
  }

  async done(kind: StepKind, what: string): Promise<void> {
    // What a transaction did before its commit is undone with it: only a commit, or a file, can fail after it was done.
    if (kind !== 'commit' && !isFile(kind)) return;
    if (this.#strikes('after', what)) throw failureOf(kind);
  }

  instant(what: string): void {
    if (this.#strikes('before', what)) throw failureOf('disk');
  }

  statement(): void {}

  async flushed(): Promise<void> {}

  async committed(): Promise<void> {}

  async #fetch(simulator: Simulator, url: string, init: WorldRequest): Promise<Response> {
    if (this.#strikes('before', 'fetch')) throw new NotSentError('simulated');
    const response = await simulator.worldFetch(url, init);
    if (this.#strikes('after', 'fetch')) throw new Error('the connection was reset');
    return response;
  }

  #strikes(when: When, what: string): boolean {
    if (this.failsAt === 0 || when !== this.when) return false;
    this.#calls += 1;
    if (this.#calls !== this.failsAt) return false;
    this.failed = what;
    return true;
  }
}

interface Scene {
  readonly simulator: Simulator;
  readonly disk: Disk;
  readonly process: LadderProcess;
  readonly vault: Vault;
  readonly profile: string;
  readonly key: GrantKey;
  minted: MintedTokens;
  open(process: LadderProcess): Promise<Vault>;
}

/**
 * Each class is known under several ids, and the rungs take turns: many grants refused at one provider within its window
 * would suspend its verdicts, and these grants are to be condemned.
 */
const twins = 10;

interface Operation {
  readonly name: string;
  /** Prepares the scenes, several rungs at once where that takes time. */
  readonly prepare: (scenes: readonly Scene[]) => Promise<void>;
  /** Number of rungs that are prepared at once. Default: one. */
  readonly ahead?: number;
  readonly act: (scene: Scene) => Promise<unknown>;
  /** The grant is gone when it worked. */
  readonly ends?: boolean;
}

const operations: readonly Operation[] = [
  { name: 'store tokens', prepare: async () => {}, act: (scene) => store(scene) },
  { name: 'hand out', prepare: oneByOne(store), act: ({ vault, key }) => vault.getAccessToken(key) },
  {
    name: 'reject',
    prepare: oneByOne(async (scene) => {
      await store(scene);
      await scene.vault.getAccessToken(scene.key);
    }),
    act: async ({ vault, key, simulator }) => {
      const { accessToken, generation } = await vault.getAccessToken(key);
      simulator.killAccessToken(accessToken);
      return vault.rejectAccessToken(key, generation);
    },
  },
  {
    name: 'authorize and complete',
    prepare: async () => {},
    act: async ({ vault, key, simulator }) => {
      const { url } = await vault.authorize({ ...key, redirectUri, scopes: ['read'] });
      const answer = await simulator.fetch(new Request(url, { redirect: 'manual' }));
      return vault.completeAuthorization(answer.headers.get('location') ?? '');
    },
  },
  { name: 'disconnect', prepare: oneByOne(store), act: ({ vault, key }) => vault.disconnect(key), ends: true },
  { name: 'adopt the spool', prepare: oneByOne(spoolAnAnswer), act: adoptAtStart },
  { name: 'recover', prepare: condemn, ahead: twins, act: recover },
];

const ladderProfiles = ['strict', 'retire_on_use'] as const;
const idOf = (profile: string, turn: number): string => `${profile}_${turn % twins}`;

/** Climbs the ladders of one operation on one database; `onRung` is told of each step. */
export async function climb(
  database: string,
  name: string,
  profiles: readonly string[],
  onRung: (rung: Rung) => void,
): Promise<void> {
  const operation = operations.find((each) => each.name === name);
  if (operation === undefined) throw new Error(`No operation is called ${name}.`);
  const simulator = createSimulator({ profiles: [...ladderProfiles], autoApprove: true });
  const disk = new Disk();
  const definitions = ladderProfiles.flatMap((profile) =>
    Array.from({ length: twins }, (_, turn) => ({ ...simulator.definition(profile), id: idOf(profile, turn) })),
  );
  const open = (process: LadderProcess): Promise<Vault> =>
    openVault({
      database,
      home: `/${process.name}/home`,
      spool: `/${process.name}/home/spool`,
      rootKey: 'env:GRANTRY_SIMULATION_KEY',
      providers: definitions,
      world: process.world,
      backgroundRefresh: false,
      // The databases are real ones, and their time is not scaled: a busy machine takes more than the 0.36 s of this world.
      callerWaitMs,
    });
  const process = new LadderProcess(simulator, disk);
  await using first = await open(process);
  for (const { id: provider } of definitions) {
    const clientSecret = demoClient.secret ?? '';
    await first.apps.put(provider, { provider, clientId: demoClient.clientId, clientSecret, redirectUri });
  }
  for (const profile of profiles) {
    for (const when of ['before', 'after'] as const) {
      const prepared: Scene[] = [];
      let stalls = 0;
      const sceneOf = (n: number, vault: Vault): Scene => {
        const key = { tenant: `tenant-${randomInt(2 ** 40)}`, provider: idOf(profile, n) };
        return { simulator, disk, process, vault, profile, key, minted: mint(simulator, profile), open };
      };
      for (let n = 1; n <= rungsMax; n += 1) {
        // A vault of its own: budgets and breakers must not remember the failures of other rungs.
        await using vault = await open(process);
        if (operation.ahead === undefined) {
          prepared.push(sceneOf(n, vault));
          await operation.prepare(prepared);
        } else if (prepared.length === 0) {
          await using helper = await open(process);
          for (let ahead = 0; ahead < operation.ahead; ahead += 1) prepared.push(sceneOf(n + ahead, helper));
          await operation.prepare(prepared);
        }
        const scene = prepared.shift();
        if (scene === undefined) throw new Error('no rung was prepared');
        using watch = new StallWatch();
        const rung = await climbOne({ ...scene, vault }, operation, n, when);
        // Leases of this world last from 48 ms to 1.4 s. After a stall that long a rung says nothing about the vault.
        if (rung.violations.length > 0 && watch.longestMs > stallMs && stalls < stallsMax) {
          stalls += 1;
          n -= 1;
          continue;
        }
        onRung(rung);
        if (rung.failed === null) break;
      }
    }
  }
}

async function climbOne(scene: Scene, operation: Operation, n: number, when: When): Promise<Rung> {
  const { process, profile, key, vault } = scene;
  const violations: string[] = [];
  process.arm(n, when);
  let outcome = 'done';
  try {
    await operation.act(scene);
  } catch (error) {
    outcome = isGrantryError(error) ? error.code : `untyped: ${String(error)}`;
    const typed = isGrantryError(error) && error.code !== 'internal' && error.code !== 'integrity_failed';
    if (!typed) violations.push(`the caller got ${outcome}`);
  }
  const { failed } = process;
  process.arm(0, when);
  if (failed === null && outcome !== 'done') violations.push(`nothing failed, and it ended with ${outcome}`);
  const end = await lastLook(scene);
  const requests = scene.simulator.history.requestsFor(scene.minted.refreshToken);
  const lostAnswer = failed === 'fetch' && when === 'after';
  const allowed = allowedEnds(operation, { outcome, failed, lostAnswer, strict: profile === 'strict' });
  if (!allowed.includes(end)) violations.push(`the grant ended as ${end}`);
  const spent = requests.filter((event) => event.grantType === 'refresh_token' && event.outcome === 'issued').length;
  if (spent > 1 && profile === 'strict') violations.push('a strict token was spent twice');
  const replays = requests.filter((event) => event.replay === true).length;
  if (replays > 0 && !lostAnswer) violations.push(`a spent token was sent again ${replays} times`);
  await vault.disconnect(key).catch(() => {});
  return { operation: operation.name, provider: profile, when, n, failed, outcome, violations };
}

function allowedEnds(
  operation: Operation,
  what: { outcome: string; failed: string | null; lostAnswer: boolean; strict: boolean },
): readonly string[] {
  const { outcome, failed, lostAnswer, strict } = what;
  if (operation.ends === true) return outcome === 'done' ? ['grant_not_found'] : ['grant_not_found', 'works'];
  // A first authorization that failed leaves nothing, or, when its commit went through, everything.
  const mayBeNew = operation.name === 'store tokens' || operation.name === 'authorize and complete';
  if (mayBeNew && outcome !== 'done') return ['works', 'grant_not_found'];
  // A recovery that could not ask the provider says so in its report, and may be tried again.
  if (operation.name === 'recover' && failed !== null) return ['works', 'reauthorization_required', 'lost_rotation'];
  return lostAnswer && strict ? ['works', 'lost_rotation'] : ['works'];
}

/** Asks until the grant works or is settled otherwise. */
async function lastLook({ vault, key, simulator }: Scene): Promise<string> {
  const giveUpAt = performance.now() + 15_000;
  for (;;) {
    try {
      const token = await vault.getAccessToken(key);
      simulator.killAccessToken(token.accessToken);
      await vault.rejectAccessToken(key, token.generation);
      return 'works';
    } catch (error) {
      if (!isGrantryError(error)) return `untyped: ${String(error)}`;
      if (error.code === 'reauthorization_required') {
        const reason = (await vault.grants.get(key))?.reason;
        return reason === 'lost_rotation' ? 'lost_rotation' : 'reauthorization_required';
      }
      // The health call says that the killed token is refused, unless it fails itself.
      if (!error.retryable && error.code !== 'refresh_uncertain') return error.code;
      if (performance.now() > giveUpAt) return `still ${error.code}`;
      await pause(Math.min(300, error.retryAfterMs ?? 50));
    }
  }
}

function mint(simulator: Simulator, profile: string): MintedTokens {
  const scopes = ['read'];
  return simulator.mintTokens({ profile, clientId: demoClient.clientId, user: 'user@us.example', scopes });
}

async function store({ vault, key, minted }: Scene): Promise<void> {
  await vault.storeTokens(key, { refreshToken: minted.refreshToken });
}

/** A process that lost its database with the answer in its hands, and ended. */
async function spoolAnAnswer(scene: Scene): Promise<void> {
  await store(scene);
  const dying = new LadderProcess(scene.simulator, scene.disk);
  const vault = await scene.open(dying);
  dying.forGood = true;
  const fetched = scene.simulator.history.total;
  // The first commit is the claim's; the second one would save the answer.
  const real = dying.step.bind(dying);
  dying.step = async (kind, what) => {
    if (kind === 'begin' && scene.simulator.history.total > fetched) dying.failed ??= 'begin';
    return real(kind, what);
  };
  const asking = vault.getAccessToken(scene.key).catch(() => {});
  while (scene.disk.list(spoolDirectory).every((name) => !name.endsWith('.answer'))) await pause(5);
  const closing = vault.close();
  await Promise.race([Promise.all([asking, closing]), pause(2_000)]);
}

/** A new process opens the vault, and commits what it finds before anybody may spend anything. */
async function adoptAtStart(scene: Scene): Promise<void> {
  const heir = new LadderProcess(scene.simulator, scene.disk);
  heir.arm(scene.process.failsAt, scene.process.when);
  try {
    const vault = await scene.open(heir);
    await vault.close();
  } finally {
    scene.process.failed = heir.failed;
  }
  // However it ended, the next start must find the answer.
  const next = await scene.open(new LadderProcess(scene.simulator, scene.disk));
  await next.close();
}

async function recover({ vault, key, process }: Scene): Promise<void> {
  let report = await vault.recover(key);
  // On a busy machine the lease, which is short here, may run out before anything is sent.
  for (let again = 0; report.outcome === 'under_way' && again < 5; again += 1) report = await vault.recover(key);
  if (report.outcome !== 'recovered' && process.failed === null) throw new Error(`it ended as ${report.outcome}`);
}

/** The provider refused twice although nothing was wrong. Of many grants at once, since each refusal must be confirmed. */
async function condemn(scenes: readonly Scene[]): Promise<void> {
  await oneByOne(store)(scenes);
  const [first] = scenes;
  const effect = { kind: 'error', error: 'invalid_grant' } as const;
  const fault = first?.simulator.faults.add({ endpoint: 'token', times: 10_000, effect });
  let left = scenes;
  for (let rounds = 0; left.length > 0; rounds += 1) {
    if (rounds > 60) throw new Error('a grant was not condemned');
    if (rounds > 0) await pause(60);
    const ends = await Promise.all(left.map(isCondemned));
    left = left.filter((_, index) => ends[index] !== true);
  }
  if (fault !== undefined) first?.simulator.faults.remove(fault);
}

async function isCondemned({ vault, key }: Scene): Promise<boolean> {
  await vault.getAccessToken(key).catch(() => {});
  return (await vault.grants.get(key))?.state === 'reauthorization_required';
}

function oneByOne(prepare: (scene: Scene) => Promise<void>): (scenes: readonly Scene[]) => Promise<void> {
  return async (scenes) => {
    for (const scene of scenes) await prepare(scene);
  };
}

function isFile(kind: StepKind): boolean {
  return kind === 'disk' || kind === 'flush';
}

function failureOf(kind: StepKind): Error {
  if (isFile(kind)) return diskError('EIO');
  return Object.assign(new Error('simulated failure of the database'), { code: 'ERR_SQLITE_ERROR', errcode: 10 });
}
