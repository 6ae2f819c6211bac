import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName, defaultAccount, type GrantKey } from '../../base/ids.ts';
import { dcNames, resolveDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { App, Vault } from '../../vault/types.ts';
import { usageError } from '../terminal/errors.ts';
import type { ClientFile } from './client-file.ts';

/** The grant and app of a file. */
export interface ImportTarget extends CheckedKey {
  readonly app: string;
  readonly dc: string | null;
}

/** The result of a stored file. */
export interface Imported {
  readonly result: 'imported' | 'replaced' | 'unchanged';
  /** Other grants that hold the same refresh token. */
  readonly sharedWith: readonly GrantKey[];
}

export interface ImportOptions {
  readonly definition: ProviderDefinition;
  readonly app: string | undefined;
  readonly account: string | undefined;
}

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

  /** Stores the app and the tokens. */
  async store(vault: Vault, content: ClientFile, target: ImportTarget): Promise<Imported> {
    await this.#keepApp(vault, content, target);
    const key = keyOf(target);
    const before = await vault.grants.get(key);
    const { grant, sharedWith } = await vault.storeTokens(key, {
      app: target.app,
      refreshToken: content.refreshToken,
      metadata: {
        ...(target.dc === null ? {} : { dc: target.dc }),
        ...(content.orgId === undefined ? {} : { org_id: content.orgId }),
      },
    });
    if (before === null || before.state === 'disconnected') return { result: 'imported', sharedWith };
    return { result: grant.generation === before.generation ? 'unchanged' : 'replaced', sharedWith };
  }

  async #keepApp(vault: Vault, content: ClientFile, target: ImportTarget): Promise<void> {
    const app = await vault.apps.get(target.app);
    const { clientId, clientSecret } = content;
    if (app !== null) {
      this.#checkApp(app, content, target);
      // A shared app belongs to the operator: the file of one tenant does not change it.
      if (this.#options.app !== undefined || clientId === undefined || clientSecret === undefined) return;
    } else if (clientId === undefined || clientSecret === undefined) {
      throw usageError(
        `${content.file} has no ${clientId === undefined ? 'ZOHO_CLIENT_ID' : 'ZOHO_CLIENT_SECRET'}, and there is no app ${target.app}.`,
        'Add it to the file, or name an existing app with --app.',
      );
    }
    await vault.apps.put(target.app, {
      provider: target.provider,
      clientId,
      clientSecret,
      dc: target.dc ?? undefined,
      redirectUri: app?.redirectUri ?? undefined,
      scopes: app?.scopes ?? [],
      returnTo: app?.returnTo ?? [],
      tenants: this.#options.app === undefined ? [target.tenant] : undefined,
    });
  }

  #checkApp(app: App, content: ClientFile, target: ImportTarget): void {
    if (app.provider !== target.provider) {
      throw usageError(
        `The app ${app.name} is for ${app.provider}, not for ${target.provider}.`,
        `Name an app for ${target.provider} with --app.`,
      );
    }
    if (this.#options.app !== undefined) {
      if (content.clientId === undefined || content.clientId === app.clientId) return;
      throw usageError(
        `ZOHO_CLIENT_ID in ${content.file} is not the client id of the app ${app.name}.`,
        'Name the app that the tokens were made with, or leave --app out: another app cannot refresh them.',
      );
    }
    if (app.tenants?.length === 1 && app.tenants[0] === target.tenant) return;
    throw usageError(
      `The app ${app.name} exists already, and it does not serve only ${target.tenant}.`,
      `Use it with --app ${app.name}, or name another app.`,
    );
  }
}

/** The definition of a provider, from the vault where there is one. @throws {GrantryError} `not_found` */
export async function definitionFor(vault: Vault | null, provider: string): Promise<ProviderDefinition> {
  const { builtInProvider } = await import('../../providers/catalogue.ts');
  const definition = vault === null ? builtInProvider(provider) : await vault.providers.get(provider);
  if (definition !== null) return definition;
  throw new GrantryError('not_found', `There is no provider ${provider}.`, {
    action: 'Run grantry provider list to see the ids.',
  });
}

function keyOf({ tenant, provider, account }: ImportTarget): CheckedKey {
  return { tenant, provider, account };
}

function dcOf(definition: ProviderDefinition, written: string | undefined): string | null {
  if (written !== undefined) return resolveDc(definition, written);
  const names = dcNames(definition);
  return names.includes(usualDc) ? usualDc : (names[0] ?? null);
}
