import { GrantryError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import {
  type Environment,
  type logLevels,
  resolveVaultSettings,
  settingReader,
  settings as table,
  type VaultSettings,
} from '../vault/settings.ts';

/** The flags that every command takes, as they were given. */
export interface GlobalFlags extends Partial<Record<TextFlag, string | undefined>> {
  json?: boolean | undefined;
  verbose?: boolean | undefined;
}

type PlaceFlag = 'home' | 'database' | 'rootKey' | 'installation' | 'spool';
type TextFlag = PlaceFlag | 'publicUrl' | 'url' | 'logLevel' | 'tenant';

export type LogLevel = (typeof logLevels)[number];

/** The settings of a command: flags win over the environment, the environment wins over defaults. */
export interface Settings extends VaultSettings {
  readonly publicUrl: string;
  /** True when a flag or the environment names the public URL. */
  readonly isPublicUrlGiven: boolean;
  readonly logLevel: LogLevel;
  readonly isLogLevelGiven: boolean;
  /** The tenant meant by `.`, when a flag or the environment names it. */
  readonly tenant: string | undefined;
  /** The server to use instead of a database. */
  readonly server: { readonly url: string; readonly apiKey: Secret | undefined } | undefined;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** Resolves all settings. @throws {GrantryError} `invalid_request` that names the variable or flag */
export function resolveSettings(flags: GlobalFlags, environment: Environment): Settings {
  const read = settingReader('flag', environment);
  const publicUrl = read(table.publicUrl, flags.publicUrl);
  const logLevel = read(table.logLevel, flags.logLevel);
  const url = read(table.url, flags.url);
  // With both, the command cannot know which grants are meant.
  if (url !== undefined && flags.database !== undefined) {
    throw new GrantryError('invalid_request', 'Both a server (GRANTRY_URL or --url) and --database are named.', {
      action: 'Name one of them.',
    });
  }
  return {
    ...resolveVaultSettings(flags, environment, 'flag'),
    publicUrl: publicUrl ?? table.publicUrl.usual,
    isPublicUrlGiven: publicUrl !== undefined,
    // A command that ends reports problems only; `info` has to be asked for.
    logLevel: logLevel ?? 'warn',
    isLogLevelGiven: logLevel !== undefined,
    tenant: read(table.tenant, flags.tenant),
    server: url === undefined ? undefined : { url, apiKey: read(table.apiKey) },
    json: flags.json ?? false,
    verbose: flags.verbose ?? false,
  };
}
