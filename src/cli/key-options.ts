import type { Command } from 'commander';
import { type CallMethod, callMethods } from '../schemas/words.ts';
import { collect } from './options.ts';
import { usageError } from './terminal/errors.ts';

/** The options of every command that makes or changes an API key. */
export interface LimitOptions {
  tenant?: string[];
  allTenants?: boolean;
  provider?: string[];
  method?: string[];
  path?: string[];
  origin?: string[];
  expires?: string;
}

interface Limits {
  tenants?: readonly string[] | '*';
  providers?: readonly string[];
  methods?: readonly CallMethod[];
  paths?: readonly string[];
  origins?: readonly string[];
}

export function withLimits(command: Command, lifetime = '90d, 1y, or a date such as 2027-01-31'): Command {
  return command
    .option('--tenant <tenant>', 'a tenant that the key may act for; may be given several times', collect)
    .option('--all-tenants', 'act for every tenant, also for those that come later')
    .option(
      '--provider <provider>',
      'a provider that the key may use (default: all); may be given several times',
      collect,
    )
    .option('--method <method>', 'a method of its API calls (default: all); may be given several times', collect)
    .option('--path <glob>', 'a path of its API calls (default: all); may be given several times', collect)
    .option(
      '--origin <origin>',
      'an origin whose pages may call the proxy with it; may be given several times',
      collect,
    )
    .option('--expires <time>', `the end of the key: ${lifetime}`);
}

/** The limits that were given; members that were not are missing. */
export function limitsIn({ tenant, allTenants, provider, method, path, origin }: LimitOptions): Limits {
  if (tenant !== undefined && allTenants === true) throw usageError('Use either --tenant or --all-tenants.');
  return {
    ...(tenant === undefined ? {} : { tenants: tenant }),
    ...(allTenants === true ? { tenants: '*' as const } : {}),
    ...(provider === undefined ? {} : { providers: provider }),
    ...(method === undefined ? {} : { methods: method.map(methodOf) }),
    ...(path === undefined ? {} : { paths: path }),
    ...(origin === undefined ? {} : { origins: origin }),
  };
}

function methodOf(text: string): CallMethod {
  const method = callMethods.find((known) => known === text.toUpperCase());
  if (method === undefined) throw usageError(`--method must be one of ${callMethods.join(', ')}.`);
  return method;
}

const unitMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/** The end of a key, as a time from now or a date; undefined for none. */
export function expiryOf(text: string | undefined, nowMs: number): Date | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,5})([mhdwy])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return new Date(nowMs + Number(count) * (unitMs[unit] ?? 0));
  const date = /^\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z)?$/.test(text) ? new Date(text) : undefined;
  if (date !== undefined && !Number.isNaN(date.getTime())) return date;
  throw usageError('--expires must be a time such as 90d, 12h, 2w or 1y, or a date such as 2027-01-31.');
}
