import { closestName } from '../base/closest.ts';
import { invalidRequest } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { checkObject, isObject } from './checks.ts';
import type { VaultOptions } from './options.ts';

/** Returns what an option must be, or null if the value is that. */
type Check = (value: unknown) => string | null;

/** An option that `settings.ts` checks together with its environment variable. */
const setting: Check = () => null;
const flag: Check = (value) => (typeof value === 'boolean' ? null : 'true or false');
const callback: Check = (value) => (typeof value === 'function' ? null : 'a function');
const list: Check = (value) => (Array.isArray(value) ? null : 'a list');

function whole(min: number, max: number): Check {
  const isWhole = (value: unknown) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
  return (value) => (isWhole(value) ? null : `a whole number from ${min} to ${max}`);
}

function objectWith(...methods: readonly string[]): Check {
  return (value) => {
    if (isObject(value) && methods.every((method) => typeof value[method] === 'function')) return null;
    return methods.length === 0 ? 'an object' : `an object with the methods ${methods.join(', ')}`;
  };
}

const known: Readonly<Record<keyof VaultOptions, Check>> = {
  create: setting,
  database: setting,
  rootKey: setting,
  home: setting,
  spool: setting,
  takeOver: flag,
  onTakeOver: callback,
  providers: list,
  logger: objectWith('debug', 'info', 'warn', 'error'),
  meter: objectWith(),
  tracer: objectWith(),
  onEvent: callback,
  world: objectWith('now', 'monotonic', 'randomBytes', 'sleep', 'fetch'),
  migrate: setting,
  installation: setting,
  unsafeAllowLoopbackProviders: setting,
  callerWaitMs: whole(1, limits.callerWaitMsMax),
  staleHandOutMs: whole(0, limits.staleHandOutMsMax),
  condemnedKeptDays: setting,
  backgroundRefresh: flag,
  untriedEngine: setting,
  egressProxy: setting,
  noProxy: setting,
  auditHandOuts: setting,
  poolMax: setting,
};

/** Refuses options that `openVault` does not have, and values of another kind. @throws {GrantryError} `invalid_request` */
export function checkOptions(options: VaultOptions): void {
  checkObject('options of a vault', options);
  checkMembers('openVault', options, Object.keys(known));
  for (const [name, check] of Object.entries(known)) {
    const value: unknown = Reflect.get(options, name);
    const kind = value === undefined ? null : check(value);
    if (kind !== null) throw invalidRequest(`The option ${name} must be ${kind}.`);
  }
}

/** Refuses a member that is no option: a mistyped one would be ignored. @throws {GrantryError} `invalid_request` */
export function checkMembers(owner: string, given: object, names: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const closest = closestName(unknown, names);
  throw invalidRequest(`${owner} has no option ${unknown.slice(0, 64)}.`, {
    action: closest === null ? `Use one of ${names.join(', ')}.` : `Did you mean ${closest}?`,
  });
}
