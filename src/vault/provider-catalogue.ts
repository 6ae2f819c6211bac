import { GrantryError, isGrantryError } from '../base/errors.ts';
import { timesOf } from '../base/limits.ts';
import type { World } from '../base/world.ts';
import type { ProviderDefinition, ProviderDefinitionInput } from '../providers/definition.ts';
import { listAppsOfProvider } from '../storage/statements/apps.ts';
import { hasGrantAt } from '../storage/statements/grants.ts';
import { deleteProvider, findProvider, listProviders, putProvider } from '../storage/statements/providers.ts';
import { hasRevocations } from '../storage/statements/revocations.ts';
import type { Store } from '../storage/store.ts';

/**
 * All provider definitions a vault knows: built-in ones, those stored in the database, and those handed to `openVault`.
 *
 * Built-in ids cannot be taken, except by the same provider's whole definition with other origins while loopback
 * providers are allowed: that is how a simulator stands in for a real provider.
 */
export class ProviderCatalogue {
  readonly #store: Store;
  readonly #world: World;
  readonly #allowLoopback: boolean;
  readonly #given = new Map<string, ProviderDefinition>();
  readonly #cache = new Map<string, { definition: ProviderDefinition | null; unsafe: boolean; readAt: number }>();

  private constructor(store: Store, world: World, allowLoopback: boolean) {
    this.#store = store;
    this.#world = world;
    this.#allowLoopback = allowLoopback;
  }

  static async open(options: {
    store: Store;
    world: World;
    allowLoopback: boolean;
    given: readonly ProviderDefinitionInput[];
  }): Promise<ProviderCatalogue> {
    const catalogue = new ProviderCatalogue(options.store, options.world, options.allowLoopback);
    for (const input of options.given) {
      const definition = await catalogue.#check(input);
      catalogue.#given.set(definition.id, await catalogue.#discover(definition));
    }
    return catalogue;
  }

  /**
   * The definition of a provider that is to be spoken to.
   *
   * @throws {GrantryError} `not_found`; `provider_misconfigured` for one that was stored while loopback providers were
   * allowed, and they no longer are: a simulator's address must not get real secrets
   */
  async require(id: string): Promise<ProviderDefinition> {
    const definition = await this.get(id);
    if (definition !== null && this.#isUnsafe(id)) {
      throw new GrantryError('provider_misconfigured', `The definition of ${id} stands for a simulator.`, {
        action: `Set GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1 in a test, or run: grantry provider remove ${id}`,
      });
    }
    if (definition !== null) return definition;
    throw new GrantryError('not_found', `There is no provider ${id}.`, {
      action: 'See grantry provider list, or add a definition: grantry provider add FILE.json',
    });
  }

  async get(id: string): Promise<ProviderDefinition | null> {
    const given = this.#given.get(id);
    if (given !== undefined) return given;
    const cached = this.#cache.get(id);
    const now = this.#world.monotonic();
    if (cached !== undefined && now - cached.readAt < timesOf(this.#world).providerCachedMs) return cached.definition;
    const stored = await this.#stored(id);
    const definition = stored ?? (await builtIn(id));
    const unsafe = stored !== null && !this.#allowLoopback && (await standsForSimulator(stored));
    this.#cache.set(id, { definition, unsafe, readAt: now });
    return definition;
  }

  #isUnsafe(id: string): boolean {
    return !this.#given.has(id) && this.#cache.get(id)?.unsafe === true;
  }

  async list(): Promise<{ id: string; name: string; builtIn: boolean }[]> {
    const { builtInProviderIds, isBuiltInProvider } = await import('../providers/catalogue.ts');
    const stored = await listProviders(this.#store.db);
    const ids = new Set<string>([...builtInProviderIds, ...stored.map((row) => row.id), ...this.#given.keys()]);
    const names = await Promise.all(
      [...ids].sort().map(async (id) => {
        const definition = await this.get(id);
        return { id, name: definition?.name ?? id, builtIn: isBuiltInProvider(id) };
      }),
    );
    return names;
  }

  /**
   * Adds or replaces a stored definition; returns whether it is new.
   *
   * @param approve is asked before anything is stored, with the definition as it would be
   */
  async put(
    input: unknown,
    approve?: (definition: ProviderDefinition) => Promise<void>,
  ): Promise<{ definition: ProviderDefinition; created: boolean }> {
    const definition = await this.#discover(await this.#check(input));
    await approve?.(definition);
    const json = JSON.stringify(definition);
    const created = await putProvider(this.#store.db, { id: definition.id, definition: json, at: this.#world.now() });
    this.#cache.delete(definition.id);
    return { definition, created };
  }

  /** Whether secrets or tokens are kept that would be sent to this provider. */
  async isInUse(id: string): Promise<boolean> {
    const { db } = this.#store;
    if ((await listAppsOfProvider(db, id)).length > 0 || (await hasGrantAt(db, id))) return true;
    return hasRevocations(db, this.#store.now(), { column: 'provider', name: id });
  }

  /** @throws {GrantryError} `not_found`; `invalid_request` for built-in ones, and while an app or a grant is there */
  async remove(id: string): Promise<void> {
    const apps = await listAppsOfProvider(this.#store.db, id);
    const isOnly = (await builtIn(id)) === null && (await findProvider(this.#store.db, id)) !== undefined;
    if (apps.length > 0 && isOnly) {
      const names = apps.map((app) => app.name).join(', ');
      throw new GrantryError('invalid_request', `Apps are registered at ${id}: ${names}.`, {
        action: 'Remove them first: without the definition none of their grants could be refreshed.',
      });
    }
    if (isOnly && (await this.isInUse(id))) {
      throw new GrantryError('invalid_request', `There are grants at ${id}, or tokens that wait to be revoked there.`, {
        action:
          'Disconnect the grants first. Tokens that wait are tried again by workers, and after a week keep nobody from removing it.',
      });
    }
    const removed = await deleteProvider(this.#store.db, id);
    this.#cache.delete(id);
    if (removed) return;
    if ((await builtIn(id)) !== null) throw new GrantryError('invalid_request', `The provider ${id} is built in.`);
    throw new GrantryError('not_found', `There is no provider ${id}.`);
  }

  async #stored(id: string): Promise<ProviderDefinition | null> {
    const row = await findProvider(this.#store.db, id);
    if (row === undefined) return null;
    const { parseProviderDefinition } = await import('../providers/parse.ts');
    return parseProviderDefinition(JSON.parse(row.definition));
  }

  async #check(input: unknown): Promise<ProviderDefinition> {
    const { parseProviderDefinition } = await import('../providers/parse.ts');
    const { checkOrigins } = await import('../providers/check-origins.ts');
    const definition = parseProviderDefinition(input);
    const original = await builtIn(definition.id);
    if (original !== null) await this.#checkBuiltIn(original, definition);
    checkOrigins(definition, { allowLoopback: this.#allowLoopback });
    return definition;
  }

  async #checkBuiltIn(original: ProviderDefinition, definition: ProviderDefinition): Promise<void> {
    if (!this.#allowLoopback) {
      throw new GrantryError('invalid_request', `The provider id ${definition.id} is built in.`, {
        action: 'Give your definition another id.',
      });
    }
    const { differsInOriginsAlone } = await import('../providers/check-origins.ts');
    if (differsInOriginsAlone(original, definition)) return;
    throw new GrantryError(
      'invalid_request',
      `A definition of the built-in provider ${definition.id} may differ in its origins alone.`,
      { action: `Start from the output of: grantry provider show ${definition.id} --json` },
    );
  }

  /** Asks an issuer for its endpoints, once: what it says now is pinned by being stored. */
  async #discover(definition: ProviderDefinition): Promise<ProviderDefinition> {
    if (definition.issuer === undefined || definition.endpoints?.token !== undefined) return definition;
    const { discoverEndpoints } = await import('../oauth/discovery.ts');
    const found = await discoverEndpoints(this.#world, definition.issuer, { allowLoopback: this.#allowLoopback });
    const { token, authorization, revocation } = found;
    return {
      ...definition,
      endpoints: {
        token,
        ...(authorization === null ? {} : { authorization }),
        ...(revocation === null ? {} : { revocation }),
        ...definition.endpoints,
      },
      ...(found.issParameterSupported ? { callback: { ...definition.callback, issuerAlwaysSent: true } } : {}),
    };
  }
}

/** Only while loopback providers are allowed can a definition take a built-in id, or name an address that is not https. */
async function standsForSimulator(definition: ProviderDefinition): Promise<boolean> {
  if ((await builtIn(definition.id)) !== null) return true;
  const { checkOrigins } = await import('../providers/check-origins.ts');
  try {
    checkOrigins(definition, { allowLoopback: false });
    return false;
  } catch (error) {
    if (isGrantryError(error, 'invalid_request')) return true;
    throw error;
  }
}

/** Loaded with the first look-up: a program that reads one token needs one definition at most. */
async function builtIn(id: string): Promise<ProviderDefinition | null> {
  const { builtInProvider } = await import('../providers/catalogue.ts');
  return builtInProvider(id);
}
