import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { GrantryError } from '../base/errors.ts';
import { checkName } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import type { VaultOptions } from './options.ts';

/** Where everything is, after options, environment and defaults. */
export interface VaultSettings {
  readonly home: string;
  readonly database: string;
  readonly rootKey: string;
  readonly spool: string;
  readonly installation: string | null;
  readonly migrate: 'auto' | 'off';
  readonly allowLoopback: boolean;
  /** Null for the usual time. */
  readonly condemnedKeptDays: number | null;
}

/** Options win over the environment, the environment over defaults. */
export function resolveSettings(options: VaultOptions, environment: NodeJS.ProcessEnv = process.env): VaultSettings {
  const home = absolute(options.home ?? given(environment['GRANTRY_HOME']) ?? join(homedir(), '.grantry'));
  const installation = options.installation ?? given(environment['GRANTRY_INSTALLATION']);
  return {
    home,
    database: options.database ?? given(environment['GRANTRY_DATABASE']) ?? `sqlite:${join(home, 'grantry.db')}`,
    rootKey: options.rootKey ?? given(environment['GRANTRY_ROOT_KEY']) ?? `file:${join(home, 'root.key')}`,
    spool: absolute(options.spool ?? given(environment['GRANTRY_SPOOL']) ?? join(home, 'spool')),
    installation: installation === undefined ? null : checkName('installation', installation),
    migrate: checkMigrate(options.migrate ?? given(environment['GRANTRY_MIGRATE']) ?? 'auto'),
    allowLoopback:
      options.unsafeAllowLoopbackProviders !== undefined ||
      environment['GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS'] === '1',
    condemnedKeptDays: checkDays(options.condemnedKeptDays ?? given(environment['GRANTRY_CONDEMNED_KEPT_DAYS'])),
  };
}

/** An empty variable is one that is not set. */
function given(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value;
}

function absolute(path: string): string {
  if (path.includes('\0')) throw new GrantryError('invalid_request', 'A path holds a zero character.');
  const expanded = path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
  return isAbsolute(expanded) ? expanded : resolve(expanded);
}

function checkDays(value: number | string | undefined): number | null {
  if (value === undefined) return null;
  const days = typeof value === 'string' && !/^\d+$/.test(value.trim()) ? Number.NaN : Number(value);
  if (Number.isSafeInteger(days) && days >= 1 && days <= limits.condemnedKeptDaysMax) return days;
  throw new GrantryError(
    'invalid_request',
    `GRANTRY_CONDEMNED_KEPT_DAYS is a whole number of days from 1 to ${limits.condemnedKeptDaysMax}.`,
  );
}

function checkMigrate(value: string): 'auto' | 'off' {
  if (value === 'auto' || value === 'off') return value;
  throw new GrantryError('invalid_request', 'GRANTRY_MIGRATE is auto or off.');
}
