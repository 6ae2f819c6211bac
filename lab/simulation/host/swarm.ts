import { type BuiltInProfile, builtInProfile, type OAuthProfile } from '../../../src/simulator/index.ts';
import type { Dice } from './dice.ts';

/** Drawn first, in this order: a seed gives these the same meaning as ever. */
const firstKinds = [
  'crash',
  'step_crash',
  'power',
  'pause',
  'restart',
  'reset_before',
  'reset_after',
  'hang',
  'cut',
  'slow_answer',
  'slow_request',
  'refused_connection',
  'throttle',
  'status_before',
  'status_after',
  'lie',
  'long_lie',
  'store_before',
  'store_after',
  'store_outage',
  'disk',
  'skew',
  'clock_jump',
  'wild_clock_jump',
  'reauthorize',
  'disconnect',
  'revoked_by_user',
] as const;

/** Drawn after everything else. */
const laterKinds = [
  /** The answer holds its tokens whole, and is no good JSON. */
  'odd_answer',
  /** The answer has text beside its tokens that a database refuses. */
  'unstorable',
  /** A job hands in a refresh token that the grant once had. */
  'import_old',
  /** The provider gives no refresh token at a new consent. */
  'reconnect_bare',
  /** Two grants hold one refresh token. */
  'shared_token',
  /** The database refuses the commits of one grant. */
  'refused_commit',
  /** A commit waits for a disk or a standby. */
  'slow_commit',
  /** The provider refuses everything for minutes. */
  'lasting_lie',
  /** No process can see that another has died. */
  'unseen_death',
  /** The database is away just when a consent is to be saved. */
  'lost_consent',
] as const;

/** Everything that can go wrong. Each run switches some kinds off and weighs the others. */
export const faultKinds = [...firstKinds, ...laterKinds] as const;

export type FaultKind = (typeof faultKinds)[number];

/** One grant of a run. */
export interface GrantPlan {
  readonly tenant: string;
  readonly provider: string;
}

export interface SwarmPlan {
  readonly processes: number;
  readonly workers: readonly boolean[];
  readonly grants: readonly GrantPlan[];
  readonly profiles: readonly OAuthProfile[];
  readonly chaosMs: number;
  /** Per kind: 0 when switched off, else how often, as a share or a rate, relative to its usual. */
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** Mean pause between two calls of one caller. */
  readonly callPauseMs: number;
  /** A slow machine: statements and files take so many times as long. */
  readonly slowness: number;
}

const classes: readonly BuiltInProfile[] = [
  'none',
  'timed_overlap',
  'overlap_newest_only',
  'retire_on_use',
  'strict',
  'strict_revokes_family',
];

/** Rarely switched on: what breaks the assumptions that the guarantees rest on, or takes very long. */
const rare: Partial<Record<FaultKind, number>> = {
  wild_clock_jump: 0.03,
  long_lie: 0.06,
  power: 0.15,
  disk: 0.25,
  lasting_lie: 0.04,
  shared_token: 0.15,
};

/** A narrower world: only these providers and these faults. */
export interface Focus {
  /** Every provider when left out. */
  readonly providers?: readonly BuiltInProfile[];
  /** Every fault of the seed when left out. */
  readonly faults?: Partial<Readonly<Record<FaultKind, number>>>;
  /** The faults that this simulation had at first, as each seed has them. */
  readonly plain?: boolean;
}

/** Longer than the longest lie, and the looks after it. */
const lastingMs = 700_000;

export function planSwarm(dice: Dice, focus: Focus | null): SwarmPlan {
  const processes = dice.whole(2, 4);
  const calm = dice.between(0.15, 0.6);
  const draw = (from: Dice, kinds: readonly FaultKind[]): [FaultKind, number][] =>
    kinds.map((kind) => {
      const on = from.fraction() < (rare[kind] ?? calm);
      return [kind, on ? from.between(0.3, 2.5) : 0];
    });
  const first = draw(dice, firstKinds);
  const profiles = classes.map((id) => profileFor(id, dice));
  const providers = focus?.providers ?? classes;
  const favourite = dice.pick(providers);
  const grants = Array.from({ length: dice.whole(1, 4) }, (_, index) => ({
    tenant: `tenant-${index}`,
    provider: dice.chance(0.4) ? favourite : dice.pick(providers),
  }));
  const workers = Array.from({ length: processes }, () => dice.chance(0.5));
  const chaosMs = dice.between(40_000, 180_000);
  const callPauseMs = dice.pick([1_500, 5_000, 12_000]);
  const slowness = dice.chance(0.15) ? 30 : 1;
  const later = draw(dice.fork(), laterKinds);
  const weights = focus?.plain === true ? first : [...first, ...later];
  const faults = Object.fromEntries(
    faultKinds.map((kind) => {
      const weight = weights.find(([name]) => name === kind)?.[1] ?? 0;
      return [kind, focus?.faults === undefined ? weight : (focus.faults[kind] ?? 0)];
    }),
    // Every kind is mapped.
  ) as Record<FaultKind, number>;
  const plan = { processes, workers, grants, profiles, chaosMs, faults, callPauseMs, slowness };
  // A strict grant is asked for again after two minutes: a world that ends before shows nothing of it.
  return faults.lasting_lie > 0 ? { ...plan, chaosMs: chaosMs + lastingMs, callPauseMs: 12_000 } : plan;
}

function profileFor(id: BuiltInProfile, dice: Dice): OAuthProfile {
  const accessTokenSeconds = dice.pick([20, 45, 120]);
  if (id === 'timed_overlap') {
    const overlapSeconds = dice.pick([30, 60, 600, 86_400]);
    return builtInProfile(id, {
      accessTokenSeconds,
      rotation: { overlapSeconds, oldAccessTokenDies: dice.chance(0.3), replay: dice.pick(['new', 'same']) },
    });
  }
  if (id === 'strict')
    return builtInProfile(id, { accessTokenSeconds, rotation: { oldAccessTokenDies: dice.chance(0.3) } });
  return builtInProfile(id, { accessTokenSeconds });
}
