import { type BuiltInProfile, builtInProfile, type OAuthProfile } from '../../../src/simulator/index.ts';
import type { Dice } from './dice.ts';

/** Everything that can go wrong. Each run switches some kinds off and weighs the others. */
export const faultKinds = [
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
const rare: Partial<Record<FaultKind, number>> = { wild_clock_jump: 0.03, long_lie: 0.06, power: 0.15, disk: 0.25 };

/** A narrower world: only these providers and these faults. */
export interface Focus {
  readonly providers: readonly BuiltInProfile[];
  readonly faults: Partial<Readonly<Record<FaultKind, number>>>;
}

export function planSwarm(dice: Dice, focus: Focus | null): SwarmPlan {
  const processes = dice.whole(2, 4);
  const calm = dice.between(0.15, 0.6);
  const faults = Object.fromEntries(
    faultKinds.map((kind) => {
      const on = dice.fraction() < (rare[kind] ?? calm);
      const weight = on ? dice.between(0.3, 2.5) : 0;
      return [kind, focus === null ? weight : (focus.faults[kind] ?? 0)];
    }),
    // Every kind is mapped.
  ) as Record<FaultKind, number>;
  const profiles = classes.map((id) => profileFor(id, dice));
  const providers = focus?.providers ?? classes;
  const first = dice.pick(providers);
  const grants = Array.from({ length: dice.whole(1, 4) }, (_, index) => ({
    tenant: `tenant-${index}`,
    provider: dice.chance(0.4) ? first : dice.pick(providers),
  }));
  return {
    processes,
    workers: Array.from({ length: processes }, () => dice.chance(0.5)),
    grants,
    profiles,
    chaosMs: dice.between(40_000, 180_000),
    faults,
    callPauseMs: dice.pick([1_500, 5_000, 12_000]),
    slowness: dice.chance(0.15) ? 30 : 1,
  };
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
