import type { World } from '../../base/world.ts';

/** A moment by both clocks of this host. */
export interface Instant {
  readonly wall: number;
  readonly monotonic: number;
}

export const never: Instant = { wall: Number.NEGATIVE_INFINITY, monotonic: Number.NEGATIVE_INFINITY };

export function instantOf(world: World): Instant {
  return { wall: world.now(), monotonic: world.monotonic() };
}

/**
 * Returns the time since a moment, by the clock that says more. The wall clock may be set back, and the other one stands still
 * while a machine sleeps.
 */
export function sinceMs(world: World, { wall, monotonic }: Instant, now = world.now()): number {
  return Math.max(now - wall, world.monotonic() - monotonic);
}
