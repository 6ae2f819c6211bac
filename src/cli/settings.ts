import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';

/** The flags that every command takes, as they were given. */
export interface GlobalFlags {
  home?: string | undefined;
  database?: string | undefined;
  rootKey?: string | undefined;
  installation?: string | undefined;
  spool?: string | undefined;
  publicUrl?: string | undefined;
  url?: string | undefined;
  logLevel?: string | undefined;
  tenant?: string | undefined;
  json?: boolean | undefined;
  verbose?: boolean | undefined;
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Everything a command needs to know about its surroundings: flags win over the environment, that over the defaults. */
export interface Settings {
  readonly home: string;
  readonly database: string;
  readonly rootKey: string;
  readonly spool: string;
  readonly installation: string | undefined;
  readonly publicUrl: string;
  /** Somebody named the public URL: it is not the default. */
  readonly isPublicUrlGiven: boolean;
  readonly logLevel: LogLevel;
  readonly isLogLevelGiven: boolean;
  readonly migrate: 'auto' | 'off';
  /** The tenant meant by `.`, when a flag or the environment names it. */
  readonly tenant: string | undefined;
  /** Why loopback providers are allowed; undefined when they are not. */
  readonly unsafeAllowLoopbackProviders: string | undefined;
  /** The server that is spoken to instead of opening a database. */
  readonly server: { readonly url: string; readonly apiKey: Secret | undefined } | undefined;
  readonly json: boolean;
  readonly verbose: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Settles all settings. @throws {GrantryError} `invalid_request` naming the variable or flag that is not valid */
export function resolveSettings(flags: GlobalFlags, environment: Environment): Settings {
  const pick = (flag: string | undefined, name: string) => text(flag, name, 'flag') ?? text(environment[name], name);
  const home = path(pick(flags.home, 'GRANTRY_HOME') ?? join(homedir(), '.grantry'));
  return {
    home,
    database: database(pick(flags.database, 'GRANTRY_DATABASE'), home),
    rootKey: rootKey(pick(flags.rootKey, 'GRANTRY_ROOT_KEY'), home),
    spool: path(pick(flags.spool, 'GRANTRY_SPOOL') ?? join(home, 'spool')),
    installation: pick(flags.installation, 'GRANTRY_INSTALLATION'),
    publicUrl: webAddress(
      pick(flags.publicUrl, 'GRANTRY_PUBLIC_URL') ?? 'http://127.0.0.1:8484',
      'GRANTRY_PUBLIC_URL or --public-url',
    ),
    isPublicUrlGiven: pick(flags.publicUrl, 'GRANTRY_PUBLIC_URL') !== undefined,
    // One-shot programs speak up when something is wrong; `info` has to be asked for.
    logLevel: oneOf(logLevels, pick(flags.logLevel, 'GRANTRY_LOG_LEVEL') ?? 'warn', 'GRANTRY_LOG_LEVEL'),
    isLogLevelGiven: pick(flags.logLevel, 'GRANTRY_LOG_LEVEL') !== undefined,
    migrate: oneOf(
      ['auto', 'off'],
      text(environment['GRANTRY_MIGRATE'], 'GRANTRY_MIGRATE') ?? 'auto',
      'GRANTRY_MIGRATE',
    ),
    tenant: pick(flags.tenant, 'GRANTRY_TENANT'),
    unsafeAllowLoopbackProviders: unsafeReason(environment['GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS']),
    server: server(pick(flags.url, 'GRANTRY_URL'), flags.database, environment['GRANTRY_API_KEY']),
    json: flags.json ?? false,
    verbose: flags.verbose ?? false,
  };
}

/** The database of a home for which none is named. */
export function usualDatabase(home: string): string {
  return `sqlite:${join(home, 'grantry.db')}`;
}

/** Whether a host name means this very machine. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === '127.0.0.1' || hostname === 'localhost' || hostname === '[::1]';
}

/** An empty variable counts as not set; an empty flag is a mistake. */
function text(value: string | undefined, name: string, from: 'flag' | 'variable' = 'variable'): string | undefined {
  if (value === undefined || (value === '' && from === 'variable')) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  if (value === '' || value.length > limits.urlCharsMax || /[\u0000-\u001f\u007f]/.test(value)) {
    throw new GrantryError('invalid_request', `The setting ${name} is empty, too long or has unprintable characters.`);
  }
  return value;
}

function path(value: string): string {
  return resolve(value === '~' || value.startsWith('~/') ? join(homedir(), value.slice(1)) : value);
}

function database(value: string | undefined, home: string): string {
  if (value === undefined) return usualDatabase(home);
  if (/^postgres(ql)?:\/\/./.test(value) || /^sqlite:./.test(value)) return value;
  // The value is not repeated: it may carry a password.
  throw new GrantryError('invalid_request', 'The database is not named in a form that Grantry knows.', {
    action: 'Set GRANTRY_DATABASE or --database to sqlite:PATH or postgres://USER@HOST/NAME.',
  });
}

function rootKey(value: string | undefined, home: string): string {
  if (value === undefined) return `file:${join(home, 'root.key')}`;
  if (/^(file|env|fd|command):./.test(value)) return value;
  // Not repeated either: somebody may have put the key itself here.
  throw new GrantryError('invalid_request', 'The root key is not named in a form that Grantry knows.', {
    action:
      'Set GRANTRY_ROOT_KEY or --root-key to file:PATH, env:NAME, fd:N or command:PROGRAM ARGS, never to the key itself.',
  });
}

function webAddress(value: string, name: string): string {
  const url = URL.canParse(value) ? new URL(value) : null;
  const fine =
    url !== null &&
    (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))) &&
    `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (!fine) {
    throw new GrantryError('invalid_request', `${name} must be https, or http on a loopback address.`, {
      action: 'Fix it: a whole address, without user name, query or fragment.',
    });
  }
  return value.replace(/\/+$/, '');
}

/** Both at once would leave open which grants are meant. */
function server(
  url: string | undefined,
  databaseFlag: string | undefined,
  apiKey: string | undefined,
): Settings['server'] {
  if (url === undefined) return undefined;
  if (databaseFlag !== undefined) {
    throw new GrantryError('invalid_request', 'Both a server (GRANTRY_URL or --url) and --database are named.', {
      action: 'Name one of them.',
    });
  }
  const key = apiKey?.trim() ?? '';
  if (key.length > limits.apiKeyCharsMax || /\s/.test(key)) {
    throw new GrantryError('invalid_request', 'GRANTRY_API_KEY does not hold an API key.');
  }
  return { url: webAddress(url, 'GRANTRY_URL or --url'), apiKey: key === '' ? undefined : new Secret(key) };
}

function oneOf<const Word extends string>(words: readonly Word[], value: string, name: string): Word {
  const word = words.find((candidate) => candidate === value);
  if (word !== undefined) return word;
  throw new GrantryError('invalid_request', `The setting ${name} must be one of ${words.join(', ')}.`);
}

function unsafeReason(value: string | undefined): string | undefined {
  if (value === undefined || ['', '0', 'off'].includes(value)) return undefined;
  if (value === '1') return 'GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1';
  throw new GrantryError('invalid_request', 'GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS is 1, or not set at all.');
}
