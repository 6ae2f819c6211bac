import { GrantryError } from '../../base/errors.ts';

/** Tells the callers of a refresh that the refresh itself waits for another process's lease. */
export interface LeaseWait {
  /** The time after which to ask again; undefined while the refresh waits for no other process. */
  retryAfterMs?: number | undefined;
}

/** The error for a caller whose deadline passes before another process has finished. */
export function stillUncertain(retryAfterMs: number): GrantryError {
  return new GrantryError('refresh_uncertain', 'Another process is refreshing this grant and has not finished.', {
    retryAfterMs,
  });
}
