import type { GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { checkSeconds } from '../checks.ts';
import type { GetAccessTokenOptions } from '../types.ts';

/** Checks just enough for a cache look-up; a key that is not cached is checked in full. */
export function hasNames(key: GrantKey): boolean {
  const account = key?.account;
  return (
    typeof key?.tenant === 'string' &&
    typeof key.provider === 'string' &&
    (account === undefined || typeof account === 'string')
  );
}

/** Returns the life that a caller demands of a token. @throws {GrantryError} `invalid_request` */
export function minValidityMs(options: GetAccessTokenOptions | undefined): number {
  const seconds = options?.minValidity;
  if (seconds === undefined) return limits.minValidityMsDefault;
  return checkSeconds('minimum validity', seconds, limits.minValiditySecondsMax) * 1_000;
}
