import { closestName } from '../base/closest.ts';
import { invalidRequest } from '../base/errors.ts';
import { checkObject } from './checks.ts';
import type { VaultOptions } from './options.ts';

const known: Readonly<Record<keyof VaultOptions, true>> = {
  create: true,
  database: true,
  rootKey: true,
  home: true,
  spool: true,
  takeOver: true,
  onTakeOver: true,
  providers: true,
  logger: true,
  meter: true,
  tracer: true,
  onEvent: true,
  world: true,
  migrate: true,
  installation: true,
  unsafeAllowLoopbackProviders: true,
  callerWaitMs: true,
  staleHandOutMs: true,
  condemnedKeptDays: true,
  backgroundRefresh: true,
  untriedEngine: true,
  poolMax: true,
};

/** Refuses what is not an object of options: a mistyped option would open another vault. @throws {GrantryError} */
export function checkOptions(options: VaultOptions): void {
  checkObject('options of a vault', options);
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (unknown === undefined) return;
  const closest = closestName(unknown, Object.keys(known));
  throw invalidRequest(`openVault has no option ${unknown.slice(0, 64)}.`, {
    action: closest === null ? `Use one of ${Object.keys(known).join(', ')}.` : `Did you mean ${closest}?`,
  });
}
