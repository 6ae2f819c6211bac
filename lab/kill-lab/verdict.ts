import { limits, timesOf } from '../../src/base/limits.ts';
import { reasons } from '../../src/vault/reasons.ts';
import type { Arrival, EventFacts, GrantFacts, OpenAttempt } from './evidence.ts';
import type { FamilyFacts, Healed, ProviderJudgement } from './messages.ts';
import type { LabOptions } from './options.ts';

/** A killed process and what it left. */
export interface Deed {
  /** Time of the signal. */
  readonly at: number;
  /** Time at which the process was gone. */
  readonly goneAt: number;
  readonly pid: number;
  /**
   * Total time that it had waited for a processor when the signal was sent; undefined where the system does not tell.
   */
  readonly waitedMs: number | undefined;
  readonly open: readonly OpenAttempt[];
  /** Its attempts whose answer was in its spool. */
  readonly spooled: readonly string[];
}

/** A process that was paused. */
export interface Pause {
  readonly pid: number;
  readonly from: number;
  readonly until: number;
}

export interface LabResult {
  readonly rotation: string;
  readonly database: 'sqlite' | 'postgres';
  readonly seed: number;
  readonly scale: number;
  readonly kills: number;
  /** Number of kills that met an open attempt. */
  readonly counted: number;
  readonly pauses: number;
  readonly seconds: number;
  readonly grants: number;
  readonly refreshes: number;
  /** Number of grants that no stored token can refresh any more. */
  readonly lost: number;
  /** Lost grants by how far the last answer had come. */
  readonly losses: Readonly<Record<LossKind, number>>;
  /** The longest time that a lost answer was in memory before its process was killed. */
  readonly memoryMsMax: number;
  /** The same time without the process's waits for a processor. */
  readonly memoryOwnMsMax: number;
  /** Number of grants given up although an arrived token would have been accepted. */
  readonly falseDeaths: number;
  /** Number of grants given up and then revived by a late answer. */
  readonly revived: number;
  /** Number of requests that spent a spent token. */
  readonly duplicateSpends: number;
  /** Number of losses that were not reported exactly once, as `reauthorization_required` for `lost_rotation`. */
  readonly misreported: number;
  /** Number of grants that were refreshed after their end, or more than twice with one token of a strict provider. */
  readonly loops: number;
  /** Number of grants that were neither alive nor over when healing ended. */
  readonly stuck: number;
  /**
   * Time from a kill to the next generation or the verdict of a grant that the process held, unless the next holder was
   * killed too.
   */
  readonly recovery: Spread;
  /** Time from a kill until another process has its own attempt on the grant. */
  readonly replacement: Spread;
  readonly broken: readonly string[];
  /** History of each grant for which a promise was broken. */
  readonly stories: readonly string[];
}

export interface Spread {
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
}

/**
 * Stage that the last answer of a lost grant reached.
 *
 * - `not_arrived`: the last answer never reached a worker.
 * - `came_late`: it reached a process that had been paused for longer than its lease, when the provider no longer
 *   accepted it.
 * - `in_memory`: it was in the memory of the killed process and not yet in its spool. This breaks a promise if the
 *   process had enough time.
 * - `kept`: the answer was stored. A loss of this kind breaks a promise.
 */
export type LossKind = 'not_arrived' | 'came_late' | 'in_memory' | 'kept';

export interface Run {
  readonly options: LabOptions;
  readonly kills: { readonly all: number; readonly counted: number; readonly pauses: number; readonly seconds: number };
  readonly deeds: readonly Deed[];
  readonly pauses: readonly Pause[];
  readonly families: ReadonlyMap<string, string>;
  readonly healed: readonly Healed[];
  readonly judgement: ProviderJudgement;
  readonly duplicateSpendsBeforeHealing: number;
  readonly replacedMs: readonly number[];
  readonly grants: readonly GrantFacts[];
  readonly events: readonly EventFacts[];
  readonly arrived: ReadonlyMap<string, Arrival>;
}

interface Loss {
  readonly tenant: string;
  readonly kind: LossKind;
  readonly memoryMs: number;
  readonly ownMs: number;
  readonly falseDeath: boolean;
}

/**
 * A process stores an answer in the turn in which it arrives, a few milliseconds later. The rest allows for compiling
 * the first refresh, for other work in the same turn, and for waits that the system has not counted yet.
 */
export const inMemoryMsMax = 250;

export function judgeRun(run: Run): LabResult {
  const { options, judgement, healed, kills } = run;
  const eventsOf = Map.groupBy(run.events, ({ tenant }) => tenant);
  const losses = healed.flatMap((grant) => (grant.outcome === 'alive' ? [] : [lossOf(run, grant)]));
  const kept = losses.filter(({ kind, ownMs }) => kind === 'kept' || ownMs > inMemoryMsMax);
  const over = new Set(
    healed.filter(({ outcome }) => outcome === 'reauthorization_required').map(({ tenant }) => tenant),
  );
  const count = (kind: LossKind): number => losses.filter((loss) => loss.kind === kind).length;
  const strict = options.rotation.startsWith('strict');
  const verdicts = run.events.filter(({ type }) => type === 'grant.reauthorization_required').length;
  const misreported = [...over].filter((tenant) => !isReportedOnce(eventsOf.get(tenant) ?? []));
  const loops = loopsOf(run, over, eventsOf, strict);
  // Many losses at once look like an incident of the provider: then no grant is given up for an hour.
  const isSuspended = losses.length >= limits.verdictRefusalsMin;
  const stuck = healed.flatMap(({ tenant, outcome, reason }) =>
    outcome === 'stuck' && !(isSuspended && reason === reasons.verdictsSuspended) ? [tenant] : [],
  );
  const result = {
    rotation: options.rotation,
    database: options.database === 'sqlite' ? ('sqlite' as const) : ('postgres' as const),
    seed: options.seed,
    scale: options.scale,
    kills: kills.all,
    counted: kills.counted,
    pauses: kills.pauses,
    seconds: kills.seconds,
    grants: run.families.size,
    refreshes: run.events.filter(({ type }) => type !== 'grant.reauthorization_required').length,
    lost: losses.length,
    losses: {
      not_arrived: count('not_arrived'),
      came_late: count('came_late'),
      in_memory: count('in_memory'),
      kept: count('kept'),
    },
    memoryMsMax: Math.max(0, ...losses.map(({ memoryMs }) => memoryMs)),
    memoryOwnMsMax: Math.max(0, ...losses.map(({ ownMs }) => ownMs)),
    // Where no loss is necessary every verdict is false, including those that were reverted.
    falseDeaths: strict ? losses.filter(({ falseDeath }) => falseDeath).length : verdicts,
    revived: run.events.filter(({ type }) => type === 'grant.revived').length,
    duplicateSpends: judgement.replays,
    misreported: misreported.length,
    loops: loops.length,
    stuck: stuck.length,
    recovery: recoveryOf(run, eventsOf),
    replacement: spreadOf(run.replacedMs),
  };
  const bad = new Set([...misreported, ...loops, ...stuck, ...kept.map(({ tenant }) => tenant)]);
  const stories = (strict ? [...bad] : losses.map(({ tenant }) => tenant)).map((tenant) =>
    storyOf(run, tenant, eventsOf),
  );
  return { ...result, broken: brokenPromises(result, strict), stories };
}

function storyOf(run: Run, tenant: string, eventsOf: ReadonlyMap<string, readonly EventFacts[]>): string {
  const facts = factsOf(run, tenant);
  const got = run.arrived.get(facts?.lastIssued?.successor ?? '');
  const killed = run.deeds.filter(({ open }) => open.some((attempt) => attempt.tenant === tenant));
  const told = {
    tenant,
    end: run.healed.find((each) => each.tenant === tenant),
    provider: facts,
    lastAnswerArrived: got,
    kills: killed.map(({ at, pid }) => ({ at, pid })),
    pauses: run.pauses.filter(({ pid }) => pid === got?.pid),
    events: (eventsOf.get(tenant) ?? []).slice(-8).map(({ at, type, reason }) => `${at} ${type} ${reason ?? ''}`),
  };
  return JSON.stringify(told);
}

function brokenPromises(result: Omit<LabResult, 'broken' | 'stories'>, strict: boolean): string[] {
  const promises: [string, boolean][] = [
    ['no grant is lost', strict || result.lost === 0],
    ['no grant is condemned that the provider would still honour', result.falseDeaths === 0],
    ['no answer that was kept is lost', result.losses.kept === 0],
    ['an answer that has arrived is kept at once', result.memoryOwnMsMax <= inMemoryMsMax],
    ['each loss is reported once, as lost_rotation', result.misreported === 0],
    ['nothing is asked for without end', result.loops === 0],
    ['nothing stays in doubt', result.stuck === 0],
  ];
  return promises.flatMap(([promise, kept]) => (kept ? [] : [promise]));
}

function lossOf(run: Run, healed: Healed): Loss {
  const { tenant } = healed;
  const facts = factsOf(run, tenant);
  const successor = facts?.lastIssued?.successor ?? null;
  const loss = { tenant, memoryMs: 0, ownMs: 0, falseDeath: false };
  const got = successor === null ? undefined : run.arrived.get(successor);
  if (got === undefined) {
    // The provider issued nothing after the stored token, and still the grant is over.
    const honoured = facts !== undefined && facts.alive !== null && facts.lastIssued === null;
    return { ...loss, kind: honoured ? 'kept' : 'not_arrived', falseDeath: honoured };
  }
  const alive = facts?.alive === successor;
  const deed = run.deeds.find((each) => each.pid === got.pid && each.goneAt >= got.at);
  const attempt = deed?.open.find((each) => each.tenant === tenant);
  const inMemory = deed !== undefined && attempt !== undefined && !deed.spooled.includes(attempt.attemptId);
  if (inMemory) {
    return { ...loss, kind: 'in_memory', ...memoryOf(run, got, deed) };
  }
  const issuedAt = facts?.lastIssued?.at ?? 0;
  // With PostgreSQL each process has a host of its own: one that is stopped between arrival and commit keeps its answer
  // from all others. With SQLite they share the spool, and the answer must be found there.
  const uncommittedMs = run.options.database === 'sqlite' ? 0 : inMemoryMsMax;
  const slept = run.pauses.some(
    ({ pid, from, until }) => pid === got.pid && from <= got.at + uncommittedMs && until >= issuedAt,
  );
  if (!alive && slept) return { ...loss, kind: 'came_late' };
  return { ...loss, kind: 'kept', falseDeath: alive };
}

/** Returns how long an answer was in the killed process, and how much of that time the process could use. */
function memoryOf(run: Run, got: Arrival, deed: Deed): Pick<Loss, 'memoryMs' | 'ownMs'> {
  const stoppedAt = run.pauses.find(({ pid, until }) => pid === got.pid && until >= got.at)?.from ?? deed.at;
  const memoryMs = Math.max(0, Math.min(deed.at, stoppedAt) - got.at);
  const known = deed.waitedMs !== undefined && got.waitedMs !== undefined;
  const waitedMs = known ? Math.max(0, deed.waitedMs - got.waitedMs) : 0;
  return { memoryMs, ownMs: Math.max(0, Math.round(memoryMs - waitedMs)) };
}

function isReportedOnce(events: readonly EventFacts[]): boolean {
  const verdicts = events.filter(({ type }) => type === 'grant.reauthorization_required');
  const revivals = events.filter(({ type }) => type === 'grant.revived');
  // A late answer that the provider no longer accepts ends in a second verdict, which closes its revival.
  return verdicts.length === revivals.length + 1 && verdicts[0]?.reason === 'lost_rotation';
}

function loopsOf(
  run: Run,
  over: ReadonlySet<string>,
  eventsOf: ReadonlyMap<string, readonly EventFacts[]>,
  strict: boolean,
): string[] {
  return [...run.families.keys()].filter((tenant) => {
    const facts = factsOf(run, tenant);
    if (facts === undefined) return false;
    const events = eventsOf.get(tenant) ?? [];
    // Counts one request and a second look, and one more for each holder that was killed before it could record its
    // answer. A late answer may start the count anew. While a provider refuses many grants, each is looked at again at
    // the pace of half a window.
    const revivals = events.filter(({ type }) => type === 'grant.revived').length;
    const held = run.deeds.filter(({ open }) => open.some((attempt) => attempt.tenant === tenant)).length;
    // A process that was stopped past its lease may be such a holder too.
    const stopped = run.pauses.filter(({ from }) => from <= facts.lastRequestAt).length;
    const { verdictWindowMs } = timesOf({ timeScale: run.options.scale });
    const refusedMs = facts.lastRequestAt - (facts.lastIssued?.at ?? facts.lastRequestAt);
    const looks = 1 + Math.ceil(refusedMs / (verdictWindowMs / 2));
    if (strict && facts.worst > looks + Math.max(1, held + stopped) + 2 * revivals + 1) return true;
    const verdict = events.findLast(({ type }) => type === 'grant.reauthorization_required');
    return over.has(tenant) && verdict !== undefined && facts.lastRequestAt > verdict.at + 1_000;
  });
}

function recoveryOf(run: Run, eventsOf: ReadonlyMap<string, readonly EventFacts[]>): Spread {
  const holders = Map.groupBy(
    run.deeds.flatMap(({ at, open }) => open.map(({ tenant }) => ({ tenant, at }))),
    ({ tenant }) => tenant,
  );
  const waits = [...holders].flatMap(([tenant, kills]) =>
    kills.flatMap(({ at }, index) => {
      const next = eventsOf.get(tenant)?.find((event) => event.at >= at);
      // The process that took over may have been killed too; that kill has its own replacement.
      const again = kills[index + 1]?.at ?? Number.POSITIVE_INFINITY;
      return next === undefined || next.at > again ? [] : [next.at - at];
    }),
  );
  return spreadOf(waits);
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other);
  const share = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { count: sorted.length, p50Ms: share(0.5), p95Ms: share(0.95), maxMs: sorted.at(-1) ?? 0 };
}

function factsOf(run: Run, tenant: string): FamilyFacts | undefined {
  const family = run.families.get(tenant);
  return byFamily(run.judgement).get(family ?? '');
}

const indexed = new WeakMap<ProviderJudgement, ReadonlyMap<string, FamilyFacts>>();

function byFamily(judgement: ProviderJudgement): ReadonlyMap<string, FamilyFacts> {
  const known = indexed.get(judgement);
  if (known !== undefined) return known;
  const index = new Map(judgement.families.map((facts) => [facts.family, facts]));
  indexed.set(judgement, index);
  return index;
}
