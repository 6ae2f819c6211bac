import { errorCodes, GrantryError, type GrantryErrorCode } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName, defaultAccount, type GrantKey } from '../../base/ids.ts';
import { dcNames, resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { environmentOfHost, resolveEnvironment } from '../../providers/environment.ts';
import type { ScopeFindingKind, ScopeLint } from '../../providers/scope-lint.ts';
import type { ImportResult, Vault } from '../../vault/types.ts';
import { unknownProvider } from '../../vault/unknown-provider.ts';
import { knownProviders } from '../known-providers.ts';
import { usageError } from '../terminal/errors.ts';
import type { ClientFile } from './client-file.ts';

/** The grant and app of a file. */
export interface ImportTarget extends CheckedKey {
  readonly app: string;
  readonly dc: string | null;
}

/** The result of a file. A dry run says what would happen. */
export interface Imported {
  readonly result: NonNullable<ImportResult['result']>;
  /** Members in which the stored grant or app differs from the file and stays as it is. */
  readonly differs: readonly string[];
  /** Other grants that hold the same refresh token. */
  readonly sharedWith: readonly GrantKey[];
  /** The scopes that the app gets, which had none. */
  readonly appScopes?: readonly string[];
}

export interface ImportOptions {
  readonly definition: ProviderDefinition;
  readonly app: string | undefined;
  readonly account: string | undefined;
  readonly replace: boolean;
  readonly dryRun: boolean;
}

/** Findings about scopes that a consent hardly granted. The provider's table may lack others. */
const strangeKinds: ReadonlySet<ScopeFindingKind> = new Set(['misspelt', 'other_product', 'retired']);

/** The data centre of a file without one. */
const usualDc = 'us';

/** Imports env files one after the other, and remembers the grants of this run. */
export class Importer {
  readonly #options: ImportOptions;
  readonly #seen = new Map<string, string>();
  readonly #tokens = new Map<string, GrantKey>();

  constructor(options: ImportOptions) {
    this.#options = options;
  }

  /** Decides the grant and app of a file, and changes nothing. @throws {GrantryError} `invalid_request` */
  plan(content: ClientFile): ImportTarget {
    const { definition, app, account } = this.#options;
    const key = checkKey({ tenant: content.tenant, provider: definition.id, account: account ?? defaultAccount });
    const target = {
      ...key,
      app: checkName('app', app ?? `${key.tenant}-${key.provider}`),
      dc: dcOf(definition, content.dc),
    };
    const id = `${key.tenant} ${key.account}`;
    const before = this.#seen.get(id);
    if (before !== undefined) {
      throw usageError(
        `${content.file} is for the same tenant, provider and account as ${before}.`,
        'Import them one at a time with --account, or use --tenant-from-name.',
      );
    }
    this.#seen.set(id, content.file);
    return target;
  }

  /** Returns the grant of this run with the same refresh token, for a dry run. */
  sharedInRun(content: ClientFile, target: ImportTarget): readonly GrantKey[] {
    const token = content.refreshToken.reveal(); // compared in memory, never shown
    const before = this.#tokens.get(token);
    this.#tokens.set(token, keyOf(target));
    return before === undefined ? [] : [before];
  }

  /** Stores the app and the tokens, or tells in a dry run what would happen. */
  async store(vault: Vault, content: ClientFile, target: ImportTarget): Promise<Imported> {
    await this.#checkClient(vault, content, target);
    const { scopes } = await this.lint(content);
    for await (const result of vault.importLines(this.#lineOf(content, target, scopes))) {
      const { code, detail = '', action, result: word, differs = [], sharedWith = [], appScopes } = result;
      if (code !== undefined) throw new GrantryError(codeNamed(code), detail, action === undefined ? {} : { action });
      if (word === undefined) continue;
      return { result: word, differs, sharedWith, ...(appScopes === undefined ? {} : { appScopes }) };
    }
    throw new GrantryError('internal', 'The vault gave no result for this file.');
  }

  /**
   * Checks the scopes of a file. A list with a scope that was hardly granted is not used: what is left would be too narrow.
   *
   * @throws {GrantryError} `invalid_request` for a scope that cannot exist
   */
  async lint({ file, scopes: given }: ClientFile): Promise<ScopeLint> {
    if (given.length === 0) return { scopes: [], findings: [] };
    const { scopeKnowledge } = await import('../../providers/scope-knowledge.ts');
    const { lintScopes } = await import('../../providers/scope-lint.ts');
    const { scopes, findings } = lintScopes(await scopeKnowledge(this.#options.definition), given);
    const refused = findings.find(({ level }) => level === 'error');
    if (refused !== undefined) {
      throw usageError(`In ${file}, ${refused.message}`, 'Correct the scope, or leave the list out.');
    }
    return { scopes: findings.some(({ kind }) => strangeKinds.has(kind)) ? [] : scopes, findings };
  }

  /** The file as a line of an import. */
  #lineOf(content: ClientFile, target: ImportTarget, scopes: readonly string[]): string {
    const { clientId, clientSecret, refreshToken, orgId } = content;
    const { app, replace, dryRun } = this.#options;
    const bringsClient = clientId !== undefined || clientSecret !== undefined;
    return JSON.stringify({
      ...keyOf(target),
      // Without --app, the line means the tenant's own app, which is made if it is missing.
      app: bringsClient ? app : target.app,
      client_id: clientId,
      client_secret: clientSecret?.reveal(), // to the vault, which seals it
      refresh_token: refreshToken.reveal(), // to the vault, which seals it
      // A list in a file is a wish: only the provider knows what the token may do.
      app_scopes: scopes.length === 0 ? undefined : scopes.join(' '),
      metadata: {
        ...(target.dc === null ? {} : { dc: target.dc }),
        ...(orgId === undefined ? {} : { org_id: orgId }),
        ...placeIn(this.#options.definition, content),
      },
      replace,
      dry_run: dryRun,
    });
  }

  async #checkClient(vault: Vault, { file, clientId, clientSecret }: ClientFile, { app }: ImportTarget): Promise<void> {
    if ((clientId !== undefined && clientSecret !== undefined) || (await vault.apps.get(app)) !== null) return;
    throw usageError(
      `${file} has no ${clientId === undefined ? 'ZOHO_CLIENT_ID' : 'ZOHO_CLIENT_SECRET'}, and there is no app ${app}.`,
      'Add it to the file, or name an existing app with --app.',
    );
  }
}

/** The definition of a provider, from the vault where there is one. @throws {GrantryError} `not_found` */
export async function definitionFor(vault: Vault | null, provider: string): Promise<ProviderDefinition> {
  const { builtInProvider, builtInProviderIds } = await import('../../providers/catalogue.ts');
  const definition = vault === null ? builtInProvider(provider) : await vault.providers.get(provider);
  if (definition !== null) return definition;
  throw unknownProvider(provider, vault === null ? builtInProviderIds : await knownProviders(vault));
}

function codeNamed(text: string): GrantryErrorCode {
  const codes = Object.keys(errorCodes).filter((code): code is GrantryErrorCode => code in errorCodes);
  return codes.find((code) => code === text) ?? 'internal';
}

function keyOf({ tenant, provider, account }: ImportTarget): CheckedKey {
  return { tenant, provider, account };
}

/**
 * The environment and the API host of a file.
 *
 * @throws {GrantryError} `invalid_request` for a host of another environment, and for an environment that there is not
 */
function placeIn(
  definition: ProviderDefinition,
  { file, environment, apiDomain }: ClientFile,
): { environment?: string; api_domain?: string } {
  const named = environment === undefined ? undefined : resolveEnvironment(definition, environment);
  const byHost = environmentOfHost(definition, apiDomain);
  if (named !== undefined && byHost !== null && byHost !== named) {
    throw usageError(
      `${file} has ZOHO_SANDBOX=true, and its ZOHO_API_DOMAIN is that of the environment ${byHost}.`,
      'Correct one of them.',
    );
  }
  return {
    ...(named === undefined ? {} : { environment: named }),
    ...(apiDomain === undefined ? {} : { api_domain: apiDomain }),
  };
}

function dcOf(definition: ProviderDefinition, written: string | undefined): string | null {
  if (written !== undefined) return resolveDc(definition, written);
  const names = dcNames(definition);
  return names.includes(usualDc) ? usualDc : (names[0] ?? null);
}
