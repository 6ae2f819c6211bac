import type { GrantryError } from '../base/errors.ts';
import type { World } from '../base/world.ts';

/** Returns a signal that aborts after a time, by the world's clock. */
export function deadlineSignal(context: { readonly world: World }, ms: number): { signal: AbortSignal; clear(): void } {
  const deadline = new AbortController();
  const stop = new AbortController();
  context.world.sleep(ms, stop.signal).then(
    () => deadline.abort(new Error('the deadline has passed')),
    () => {
      // Cleared, because the call ended in time.
    },
  );
  return { signal: deadline.signal, clear: () => stop.abort(new Error('cleared')) };
}

/** Waits for work, but no longer than a time. Returns true if it has ended, well or badly; it continues otherwise. */
export async function endsInTime(world: World, work: Promise<unknown>, ms: number): Promise<boolean> {
  const stop = new AbortController();
  const late = world.sleep(ms, stop.signal).then(
    () => false,
    () => true,
  );
  const ended = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([ended, late]);
  } finally {
    stop.abort(new Error('no longer waiting'));
  }
}

/**
 * Waits for a promise until a timeout; the work itself continues.
 *
 * @throws {GrantryError} The error that `late` creates.
 */
export async function withTimeout<T>(world: World, work: Promise<T>, ms: number, late: () => GrantryError): Promise<T> {
  const stop = new AbortController();
  const timer = world.sleep(ms, stop.signal).then(
    () => {
      throw late();
    },
    () => work,
  );
  try {
    return await Promise.race([work, timer]);
  } finally {
    stop.abort(new Error('no longer waiting'));
    timer.catch(() => {});
  }
}
