import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { invalidRequest } from '../base/errors.ts';
import { checkName } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { chooseEgressProxy, type EgressProxy, parseEgressProxy } from '../base/network/egress-proxy.ts';
import { isPrivateUrl } from '../base/network/loopback.ts';
import { Secret } from '../base/secret.ts';
import { parseRootKeySource } from '../crypto/root-key-source.ts';
import type { VaultOptions } from './options.ts';

/** One setting: its names, its default in words, its help, and the check of its text. */
export interface Setting<Value = unknown> {
  readonly variable: string;
  /** The flag as the command line declares it, such as `--home <dir>`. */
  readonly flag?: string;
  /** The kind of the option of `openVault`; a text when left out. */
  readonly kind?: 'number' | 'boolean';
  /** True when only `grantry serve` reads it. */
  readonly server?: true;
  readonly usual: string;
  readonly help: string;
  /** @throws {GrantryError} `invalid_request` that begins with the given name */
  readonly check: (text: string, name: string) => Value;
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;

/** Every setting. The checks of the library and of the command line, `--help` and docs/settings.md come from this table. */
export const settings = {
  home: {
    variable: 'GRANTRY_HOME',
    flag: '--home <dir>',
    usual: '~/.grantry',
    help: 'the directory of the database, the root key and the spool',
    check: path,
  },
  database: {
    variable: 'GRANTRY_DATABASE',
    flag: '--database <url>',
    usual: 'sqlite:HOME/grantry.db',
    help: 'sqlite:PATH or postgres://USER@HOST/NAME',
    check: database,
  },
  rootKey: {
    variable: 'GRANTRY_ROOT_KEY',
    flag: '--root-key <source>',
    usual: 'file:HOME/root.key',
    help: 'file:PATH, env:NAME, fd:N or command:PROGRAM ARGS',
    check: rootKey,
  },
  spool: {
    variable: 'GRANTRY_SPOOL',
    flag: '--spool <dir>',
    usual: 'HOME/spool',
    help: 'the directory for answers of providers until they are committed; it must survive a restart',
    check: path,
  },
  installation: {
    variable: 'GRANTRY_INSTALLATION',
    flag: '--installation <name>',
    usual: '',
    help: 'a name such as production; a database that has another name is quarantined',
    check: (text) => checkName('installation', text),
  },
  create: {
    variable: 'GRANTRY_CREATE',
    kind: 'boolean',
    usual: 'on',
    help: 'off: never make a new vault',
    check: (text, name) => oneOf(['on', 'off'], text, name) === 'on',
  },
  migrate: {
    variable: 'GRANTRY_MIGRATE',
    usual: 'auto',
    help: 'off: never change the schema; grantry migrate does it',
    check: (text, name) => oneOf(['auto', 'off'], text, name),
  },
  condemnedKeptDays: {
    variable: 'GRANTRY_CONDEMNED_KEPT_DAYS',
    kind: 'number',
    usual: '30',
    help: 'days to keep the tokens of a refused grant, for grantry recover',
    check: (text, name) => wholeNumber(name, text, { min: 1, max: limits.condemnedKeptDaysMax }),
  },
  auditHandOuts: {
    variable: 'GRANTRY_AUDIT_HAND_OUTS',
    usual: 'batched',
    help: 'strict: no token leaves before the audit log has it; batched: the log has it within a second',
    check: (text, name) => oneOf(['batched', 'strict'], text, name),
  },
  poolMax: {
    variable: 'GRANTRY_POOL_MAX',
    kind: 'number',
    usual: String(limits.postgresConnectionsMax),
    help: 'the most connections to PostgreSQL, of each process',
    check: (text, name) => wholeNumber(name, text, { min: 1, max: limits.poolSizeMax }),
  },
  egressProxy: {
    variable: 'GRANTRY_EGRESS_PROXY',
    usual: '',
    help: 'an HTTP proxy for everything sent to providers: http://USER:PASSWORD@HOST:PORT; env: take HTTPS_PROXY and NO_PROXY',
    check: (text, name) => {
      if (text !== 'env') parseEgressProxy(text, '', name);
      return text;
    },
  },
  noProxy: {
    variable: 'GRANTRY_NO_PROXY',
    usual: '',
    help: 'hosts that are reached without the proxy, such as example.com,10.0.0.1; * for all',
    check: (text) => text,
  },
  unsafeAllowLoopbackProviders: {
    variable: 'GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS',
    usual: '',
    help: '1: allow http:// and loopback providers; only for tests and simulators',
    check: (text, name) => oneOf(['1', '0', 'off'], text, name) === '1',
  },
  untriedEngine: {
    variable: 'GRANTRY_UNTRIED_ENGINE',
    kind: 'boolean',
    usual: '',
    help: '1: open an engine on which Grantry was never tried, such as CockroachDB',
    check: (text, name) => ['1', 'on'].includes(oneOf(['1', '0', 'on', 'off'], text, name)),
  },
  tenant: {
    variable: 'GRANTRY_TENANT',
    flag: '--tenant <name>',
    usual: '',
    help: 'the tenant that . stands for; it wins over a .grantry file and grantry use',
    check: (text) => checkName('tenant', text),
  },
  url: {
    variable: 'GRANTRY_URL',
    flag: '--url <url>',
    usual: '',
    help: 'a Grantry server to use instead of a database, with GRANTRY_API_KEY',
    check: webAddress,
  },
  apiKey: {
    variable: 'GRANTRY_API_KEY',
    usual: '',
    help: 'the API key for GRANTRY_URL',
    check: apiKey,
  },
  logLevel: {
    variable: 'GRANTRY_LOG_LEVEL',
    flag: '--log-level <level>',
    usual: 'warn; info for serve',
    help: `the lowest level of log lines on stderr: ${logLevels.join(', ')}`,
    check: (text, name) => oneOf(logLevels, text, name),
  },
  publicUrl: {
    variable: 'GRANTRY_PUBLIC_URL',
    flag: '--public-url <url>',
    usual: 'http://127.0.0.1:8484',
    help: 'the base of redirect URIs and connect links',
    check: webAddress,
  },
  host: {
    variable: 'GRANTRY_HOST',
    server: true,
    flag: '--host <address>',
    usual: '127.0.0.1',
    help: 'the address at which the server listens',
    check: (text) => text,
  },
  port: {
    variable: 'GRANTRY_PORT',
    server: true,
    flag: '--port <port>',
    usual: '8484',
    help: 'the port at which the server listens',
    check: (text, name) => wholeNumber(name, text, { min: 0, max: 65_535 }),
  },
  stopDelay: {
    variable: 'GRANTRY_STOP_DELAY',
    server: true,
    flag: '--stop-delay <seconds>',
    usual: '0',
    help: 'seconds for which a stopping server is not ready and still answers',
    check: (text, name) => wholeNumber(name, text, { min: 0, max: 300 }),
  },
  adminKeyFile: {
    variable: 'GRANTRY_ADMIN_KEY_FILE',
    server: true,
    usual: '',
    help: 'a file with the first admin key, for machines without a shell',
    check: (text) => text,
  },
  metricsTenants: {
    variable: 'GRANTRY_METRICS_TENANTS',
    server: true,
    usual: '0',
    help: '1: add the tenant to the metrics of requests and refreshes',
    check: (text, name) => oneOf(['1', '0'], text, name) === '1',
  },
  tenantRate: limitOf('GRANTRY_TENANT_RATE', '500', 'requests per second and tenant', 1_000_000),
  tenantBurst: limitOf('GRANTRY_TENANT_BURST', '2000', 'burst of requests of one tenant, after a pause', 1_000_000),
  tenantCalls: limitOf('GRANTRY_TENANT_CALLS', '256', 'concurrent requests of one tenant', 100_000),
  providerCalls: limitOf('GRANTRY_PROVIDER_CALLS', '1024', 'concurrent proxied calls to one provider', 100_000),
  connections: limitOf('GRANTRY_CONNECTIONS', '16384', 'connections to the server', 1_000_000),
  connectionsPerAddress: limitOf(
    'GRANTRY_CONNECTIONS_PER_ADDRESS',
    '8192',
    'connections to the server from one address',
    1_000_000,
  ),
} satisfies Record<string, Setting>;

function limitOf(variable: string, usual: string, help: string, max: number): Setting<number> {
  return { variable, server: true, usual, help, check: (text, name) => wholeNumber(name, text, { min: 1, max }) };
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns a function that reads one setting: the given value wins over the environment. An empty variable is not set; an
 * empty option or flag is an error.
 *
 * @param from names the kind of the given values in errors
 */
export function settingReader(from: 'option' | 'flag', environment: Environment) {
  return <Value>(setting: Setting<Value>, given?: unknown, option = ''): Value | undefined => {
    if (given !== undefined) {
      const name = from === 'option' ? `The option ${option}` : (setting.flag?.split(' ')[0] ?? setting.variable);
      return setting.check(checkedText(textOf(setting, given, name), name), name);
    }
    const value = environment[setting.variable];
    if (value === undefined || value === '') return undefined;
    return setting.check(checkedText(value, setting.variable), setting.variable);
  };
}

/** The settings of a vault after options or flags, environment and defaults. */
export interface VaultSettings {
  readonly home: string;
  readonly database: string;
  readonly rootKey: string;
  readonly spool: string;
  readonly installation: string | null;
  readonly create: boolean;
  readonly migrate: 'auto' | 'off';
  readonly allowLoopback: boolean;
  readonly untriedEngine: boolean;
  readonly poolMax: number;
  readonly auditHandOuts: 'batched' | 'strict';
  /** Null for direct connections to providers. */
  readonly egressProxy: EgressProxy | null;
  /** Null for the usual time. */
  readonly condemnedKeptDays: number | null;
}

type Given = { readonly [Name in keyof VaultSettings & keyof VaultOptions]?: VaultOptions[Name] } & {
  readonly unsafeAllowLoopbackProviders?: string | undefined;
  readonly noProxy?: string | undefined;
};

/** Resolves the settings of a vault. @throws {GrantryError} `invalid_request` that names the option, flag or variable */
export function resolveVaultSettings(
  given: Given,
  environment: Environment = process.env,
  from: 'option' | 'flag' = 'option',
): VaultSettings {
  const read = settingReader(from, environment);
  const home = read(settings.home, given.home, 'home') ?? join(userHome(), '.grantry');
  return {
    home,
    database: read(settings.database, given.database, 'database') ?? usualDatabase(home),
    rootKey: read(settings.rootKey, given.rootKey, 'rootKey') ?? `file:${join(home, 'root.key')}`,
    spool: read(settings.spool, given.spool, 'spool') ?? join(home, 'spool'),
    installation: read(settings.installation, given.installation, 'installation') ?? null,
    create: read(settings.create, given.create, 'create') ?? true,
    migrate: read(settings.migrate, given.migrate, 'migrate') ?? 'auto',
    allowLoopback: allowsLoopback(given.unsafeAllowLoopbackProviders, environment),
    untriedEngine: read(settings.untriedEngine, given.untriedEngine, 'untriedEngine') ?? false,
    poolMax: read(settings.poolMax, given.poolMax, 'poolMax') ?? limits.postgresConnectionsMax,
    auditHandOuts: read(settings.auditHandOuts, given.auditHandOuts, 'auditHandOuts') ?? 'batched',
    egressProxy: chooseEgressProxy(
      read(settings.egressProxy, given.egressProxy, 'egressProxy'),
      read(settings.noProxy, given.noProxy, 'noProxy'),
      environment,
    ),
    condemnedKeptDays: read(settings.condemnedKeptDays, given.condemnedKeptDays, 'condemnedKeptDays') ?? null,
  };
}

/** The database of a home for which none is named. */
export function usualDatabase(home: string): string {
  return `sqlite:${join(home, 'grantry.db')}`;
}

/** True when the database is a SQLite file that does not exist: opening it would make it. */
export function isMissingFile(name: string): boolean {
  return name.startsWith('sqlite:') && !existsSync(name.slice('sqlite:'.length));
}

/** Checks a whole number that is given as text. @throws {GrantryError} `invalid_request` */
export function wholeNumber(name: string, value: string, range: { min: number; max: number }): number {
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= range.min && number <= range.max) return number;
  throw invalidRequest(`${name} must be a whole number from ${range.min} to ${range.max}.`);
}

/** The option holds a reason in words, the variable a 1. */
function allowsLoopback(reason: unknown, environment: Environment): boolean {
  const name = 'The option unsafeAllowLoopbackProviders';
  if (reason === undefined) return settingReader('option', environment)(settings.unsafeAllowLoopbackProviders) ?? false;
  if (typeof reason !== 'string') throw invalidRequest(`${name} must be a text: the reason, such as 'tests'.`);
  return checkedText(reason, name) !== '';
}

function textOf(setting: Setting, given: unknown, name: string): string {
  // The command line has texts only.
  if (typeof given !== setting.kind && typeof given !== 'string')
    throw invalidRequest(`${name} must be a ${setting.kind ?? 'text'}.`);
  return typeof given === 'boolean' ? (given ? 'on' : 'off') : String(given);
}

function checkedText(text: string, name: string): string {
  if (text.trim() === '') throw invalidRequest(`${name} is empty.`);
  if (text.length > limits.urlCharsMax)
    throw invalidRequest(`${name} is longer than ${limits.urlCharsMax} characters.`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  if (/[\u0000-\u001f\u007f]/.test(text)) throw invalidRequest(`${name} has control characters.`);
  return text;
}

function path(text: string): string {
  return resolve(text === '~' || text.startsWith('~/') ? join(userHome(), text.slice(1)) : text);
}

/** @throws {GrantryError} `invalid_request` for a user without a home directory, as in many containers */
function userHome(): string {
  try {
    const directory = homedir();
    if (isAbsolute(directory)) return directory;
  } catch {
    // Neither HOME nor the user database knows this user.
  }
  throw invalidRequest('This user has no home directory, so the directory of the vault must be named.', {
    action: 'Set GRANTRY_HOME to a directory that survives a restart.',
  });
}

function database(text: string, name: string): string {
  if (/^postgres(ql)?:\/\/./.test(text) || /^sqlite:./.test(text)) return text;
  // The value is not repeated: it may carry a password.
  throw invalidRequest(`${name} does not name a database.`, {
    action: 'Write it as sqlite:PATH or postgres://USER@HOST/NAME.',
  });
}

function rootKey(text: string, name: string): string {
  try {
    parseRootKeySource(text);
    return text;
  } catch {
    // The value is not repeated: it may be the key itself.
    const forms = 'file:PATH, env:NAME, fd:N (not 1 or 2) or command:PROGRAM ARGS';
    throw invalidRequest(`${name} does not name the source of a root key.`, {
      action: `Write ${forms}, never the key itself.`,
    });
  }
}

function webAddress(text: string, name: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && isPrivateUrl(url) && `${url.username}${url.password}${url.search}${url.hash}` === '')
    return text.replace(/\/+$/, '');
  throw invalidRequest(`${name} must be https, or http on a loopback address.`, {
    action: 'Write a whole address without user name, query and fragment.',
  });
}

function apiKey(text: string, name: string): Secret {
  if (text.trim().length > limits.apiKeyCharsMax || /\s/.test(text.trim()))
    throw invalidRequest(`${name} is not an API key.`);
  return new Secret(text.trim());
}

function oneOf<const Word extends string>(words: readonly Word[], text: string, name: string): Word {
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  throw invalidRequest(`${name} must be ${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}.`);
}
