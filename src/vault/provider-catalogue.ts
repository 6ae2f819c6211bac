import { GrantryError, invalidRequest, isGrantryError } from '../base/errors.ts';
import { limits, timesOf } from '../base/limits.ts';
import type { ExtendingDefinitionInput, ProviderDefinition, ProviderDefinitionInput } from '../providers/definition.ts';
import type { BaseOf } from '../providers/extend.ts';
import { isSamePlace } from '../providers/place.ts';
import type { ProviderSummary } from '../schemas/provider.ts';
import type { WriteTx } from '../storage/database.ts';
import { isAlteredRow } from '../storage/row-seal.ts';
import { namesOfApps } from '../storage/statements/apps.ts';
import {
  deleteProvider,
  findProvider,
  hasProvider,
  listProviders,
  putProvider,
} from '../storage/statements/providers.ts';
import { deleteOverdueRevocations, hasRevocations } from '../storage/statements/revocations.ts';
import { hasConnections, hasGrantAt, lockProvider } from '../storage/statements/standing.ts';
import { type ChangeContext, changing } from './changing.ts';
import { IssuerPromises } from './issuer-promises.ts';
import type { Reach } from './reach.ts';

/** The advice for a definition that only moves a built-in provider to other origins. */
const forSimulators =
  'If it is of a simulator, set GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1, or the option unsafeAllowLoopbackProviders.';

/**
 * All provider definitions of a vault: the built-in ones, those in the database, and those passed to `openVault`.
 *
 * A definition may have a built-in id only while loopback providers are allowed. It may then change only the origins of the
 * built-in definition. A simulator uses this to replace a real provider.
 */
export class ProviderCatalogue {
  readonly #changes: ChangeContext;
  readonly #reach: Reach;
  readonly #allowLoopback: boolean;
  readonly #given = new Map<string, ProviderDefinition>();
  readonly #cache = new Map<string, Known>();

  readonly #promises: IssuerPromises;
  /** The members of `capture` that the log named as dropped, by provider. */
  readonly #toldDropped = new Map<string, string>();

  private constructor({ changes, reach, allowLoopback }: CatalogueOptions) {
    this.#promises = new IssuerPromises(changes.world, allowLoopback);
    this.#changes = changes;
    this.#reach = reach;
    this.#allowLoopback = allowLoopback;
  }

  static async open(options: CatalogueOptions): Promise<ProviderCatalogue> {
    const catalogue = new ProviderCatalogue(options);
    for (const input of options.given) {
      const definition = await catalogue.#check(input);
      // A promise is asked for at the first flow: an open need not wait for it.
      catalogue.#given.set(definition.id, await catalogue.#discover(definition));
    }
    return catalogue;
  }

  /**
   * Returns the definition of a provider for a request to it.
   *
   * @param options `orKept`: while the database does not answer, the definition that was read last is good enough
   * @throws {GrantryError} `not_found`; `provider_misconfigured` for a definition that was stored while loopback providers
   * were allowed, if they no longer are: a simulator's address must not get real secrets
   */
  async require(id: string, options?: { orKept: boolean }): Promise<ProviderDefinition> {
    const definition = await this.get(id, options);
    if (definition !== null && this.#isUnsafe(id)) {
      throw new GrantryError('provider_misconfigured', `The definition of the provider ${id} points to a simulator.`, {
        action: `Run: grantry provider remove ${id}. In a test, set GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS=1.`,
      });
    }
    if (definition !== null) return definition;
    throw await this.unknown(id);
  }

  /** The error for a provider that there is not. */
  async unknown(id: string): Promise<GrantryError> {
    const { builtInProviderIds } = await import('../providers/catalogue.ts');
    const { unknownProvider } = await import('./unknown-provider.ts');
    const stored = await listProviders(this.#changes.store.db);
    return unknownProvider(id, new Set([...builtInProviderIds, ...stored.map((row) => row.id), ...this.#given.keys()]));
  }

  /** @throws {GrantryError} `not_found` for the first that there is not */
  async assertKnown(ids: readonly string[]): Promise<void> {
    for (const id of ids) if ((await this.get(id)) === null) throw await this.unknown(id);
  }

  async get(id: string, options?: { orKept: boolean }): Promise<ProviderDefinition | null> {
    const given = this.#given.get(id);
    if (given !== undefined) return given;
    const cached = this.#cache.get(id);
    if (cached === undefined) return this.#read(id);
    const { providerCachedMs, providerKeptMs } = timesOf(this.#changes.world);
    const ageMs = this.#changes.world.monotonic() - cached.readAt;
    if (ageMs < providerCachedMs) return cached.definition;
    if (options?.orKept !== true) return this.#read(id);
    // A slow database is no reason to use an old definition at once.
    const patienceMs = ageMs < providerKeptMs ? limits.storagePatienceMs : limits.storagePatienceMsMax;
    try {
      return await this.#reach.ask(() => this.#read(id), patienceMs);
    } catch (error) {
      if (isGrantryError(error, 'storage_unavailable')) return cached.definition;
      throw error;
    }
  }

  async #read(id: string): Promise<ProviderDefinition | null> {
    const readAt = this.#changes.world.monotonic();
    const stored = await this.#stored(id);
    const definition = stored ?? (await builtIn(id));
    const unsafe = stored !== null && !this.#allowLoopback && (await standsForSimulator(stored));
    // Another process may add a missing one at any time. Callers choose its name, so a memory of them would have no bound.
    if (definition === null) this.#cache.delete(id);
    else this.#cache.set(id, { definition, unsafe, readAt });
    return definition;
  }

  #isUnsafe(id: string): boolean {
    return !this.#given.has(id) && this.#cache.get(id)?.unsafe === true;
  }

  async list(): Promise<ProviderSummary[]> {
    const { builtInProviderIds, isBuiltInProvider } = await import('../providers/catalogue.ts');
    const stored = await listProviders(this.#changes.store.db);
    const replaced = new Set(stored.map((row) => row.id));
    const ids = new Set<string>([...builtInProviderIds, ...stored.map((row) => row.id), ...this.#given.keys()]);
    const altered = new Set(stored.filter((row) => !row.isIntact).map((row) => row.id));
    return Promise.all(
      [...ids].sort().map(async (id) => {
        const isReplaced = replaced.has(id) || this.#given.has(id);
        const failed = altered.has(id) && !this.#given.has(id);
        const definition = failed ? null : await this.get(id);
        const summary = { id, name: definition?.name ?? id, builtIn: isBuiltInProvider(id) && !isReplaced };
        return failed ? { ...summary, integrityFailed: true as const } : summary;
      }),
    );
  }

  /**
   * Adds or replaces a stored definition; returns whether it is new.
   *
   * @param options `mayMove`: false for a caller who must not change where the secrets and tokens of others are sent
   * @throws {GrantryError} `invalid_request`; `forbidden` for such a change of a provider in use
   */
  async put(
    input: unknown,
    { mayMove = true }: { mayMove?: boolean } = {},
  ): Promise<{ definition: ProviderDefinition; created: boolean }> {
    const checked = await this.#check(input);
    const definition = await this.#pinPromise(await this.#discover(checked));
    const { writtenOf } = await import('../providers/extend.ts');
    const json = JSON.stringify(writtenOf(input, definition, checked));
    const { id } = definition;
    const standing = await this.reader(id);
    const created = await changing(this.#changes, async ({ tx, recordOther }) => {
      // Under the lock no process stores tokens for the old place, so the look at the uses finds all of them.
      await lockProvider(tx, id, 'update');
      // The new definition replaces an altered one, and counts as a move.
      const old = await standing(tx).catch(nullIfAltered);
      const moves = old === null || !isSamePlace(old, definition);
      if (!mayMove && moves && (await this.#isUsed(tx, id))) {
        throw new GrantryError(
          'forbidden',
          `${id} has apps, grants or connections under way: only an admin key may change its hosts or endpoints.`,
        );
      }
      recordOther({ type: 'provider.put', provider: id });
      return putProvider(tx, { id, definition: json, at: this.#changes.world.now() });
    });
    this.#cache.delete(definition.id);
    return { definition, created };
  }

  /** Tells whether the vault stores secrets or tokens that would be sent to this provider, or expects some from it. */
  async #isUsed(tx: WriteTx, id: string): Promise<boolean> {
    const named = { column: 'provider', name: id } as const;
    // A worker tries a token once more after its time. The new place must not get that request.
    await deleteOverdueRevocations(tx, named);
    if ((await namesOfApps(tx, id)).length > 0 || (await hasGrantAt(tx, id))) return true;
    return (await hasRevocations(tx, named)) || hasConnections(tx, named);
  }

  /**
   * Prepares the reading of a definition in a transaction that stores tokens of its provider. It returns null if there is
   * none, and otherwise keeps the definition as it is until the transaction ends.
   */
  async reader(id: string): Promise<(tx: WriteTx) => Promise<ProviderDefinition | null>> {
    const original = await builtIn(id);
    const constant = this.#given.get(id) ?? (this.#allowLoopback ? null : original);
    if (constant !== null) return async () => constant;
    // Loaded before: a transaction awaits only its own statements.
    const { parseStoredDefinition } = await import('../providers/parse.ts');
    const baseOf = await this.#bases();
    return async (tx) => {
      await lockProvider(tx, id, 'share');
      const row = await findProvider(tx, id);
      return row === undefined ? original : parseStoredDefinition(row.definition, baseOf).definition;
    };
  }

  /**
   * Removes a stored definition.
   *
   * @throws {GrantryError} `not_found`; `invalid_request` for a built-in provider, and while it has an app or a grant
   */
  async remove(id: string): Promise<void> {
    const isOnly = (await builtIn(id)) === null;
    const removed = await changing(this.#changes, async ({ tx, recordOther }) => {
      await lockProvider(tx, id, 'update');
      if (isOnly && (await hasProvider(tx, id))) await this.#assertUnused(tx, id);
      const isDeleted = await deleteProvider(tx, id);
      if (isDeleted) recordOther({ type: 'provider.removed', provider: id });
      return isDeleted;
    });
    this.#cache.delete(id);
    if (removed) return;
    if ((await builtIn(id)) !== null) throw invalidRequest(`The provider ${id} is built in.`);
    throw await this.unknown(id);
  }

  async #assertUnused(tx: WriteTx, id: string): Promise<void> {
    const apps = await namesOfApps(tx, id);
    if (apps.length > 0) {
      throw invalidRequest(`The provider ${id} has apps: ${apps.join(', ')}.`, {
        action: 'Remove the apps first: without the definition their grants cannot be refreshed.',
      });
    }
    if (!(await this.#isUsed(tx, id))) return;
    throw invalidRequest(`The provider ${id} has grants, tokens waiting to be revoked, or connections under way.`, {
      action:
        'Disconnect the grants first. Workers retry pending revocations for a week, and a connection ends within 20 minutes; after that they do not block the removal.',
    });
  }

  async #stored(id: string): Promise<ProviderDefinition | null> {
    const row = await findProvider(this.#changes.store.db, id).catch(async (error: unknown) => {
      // Only loopback mode stores a definition under a built-in id, so another program has inserted this row.
      if (isAlteredRow(error) && !this.#allowLoopback && (await builtIn(id)) !== null) return undefined;
      throw error;
    });
    if (row === undefined) return null;
    const { parseStoredDefinition } = await import('../providers/parse.ts');
    const { definition, dropped } = parseStoredDefinition(row.definition, await this.#bases());
    const members = dropped.join(', ');
    if (members !== '' && this.#toldDropped.get(id) !== members) {
      this.#toldDropped.set(id, members);
      const text = "a definition's capture of secrets is ignored: metadata is not sealed";
      this.#changes.logger.warn(text, { provider: id, members });
    }
    return definition;
  }

  async #check(input: unknown): Promise<ProviderDefinition> {
    const { parseProviderDefinition } = await import('../providers/parse.ts');
    const { checkOrigins } = await import('../providers/check-origins.ts');
    const definition = parseProviderDefinition(input, await this.#bases());
    const original = await builtIn(definition.id);
    if (original !== null) await this.#checkBuiltIn(original, definition);
    checkOrigins(definition, { allowLoopback: this.#allowLoopback });
    return definition;
  }

  /**
   * Prepares the search for the definition that another one extends: a built-in one. Where a simulator replaces it, its
   * addresses count, so that a derived provider is tried there too.
   */
  async #bases(): Promise<BaseOf> {
    const { builtInProvider, isBuiltInProvider } = await import('../providers/catalogue.ts');
    if (!this.#allowLoopback) return builtInProvider;
    const { parseStoredDefinition } = await import('../providers/parse.ts');
    const replaced = new Map<string, ProviderDefinition>();
    for (const { id, isIntact } of await listProviders(this.#changes.store.db)) {
      const row = isIntact && isBuiltInProvider(id) ? await findProvider(this.#changes.store.db, id) : undefined;
      if (row !== undefined) replaced.set(id, parseStoredDefinition(row.definition).definition);
    }
    return (id) => (isBuiltInProvider(id) ? (this.#given.get(id) ?? replaced.get(id) ?? builtInProvider(id)) : null);
  }

  async #checkBuiltIn(original: ProviderDefinition, definition: ProviderDefinition): Promise<void> {
    const { differsInOriginsOnly } = await import('../providers/check-origins.ts');
    const isTwin = differsInOriginsOnly(original, definition);
    if (this.#allowLoopback && isTwin) return;
    if (!this.#allowLoopback) {
      throw invalidRequest(`The provider id ${definition.id} is built in.`, {
        action: isTwin
          ? `${forSimulators} Otherwise give your definition another id.`
          : 'Give your definition another id.',
      });
    }
    throw invalidRequest(`A definition of the built-in provider ${definition.id} may change only the origins.`, {
      action: `Start from the output of: grantry provider show ${definition.id} --json`,
    });
  }

  /**
   * True if each callback of a provider must name its issuer: the definition says so, or the issuer's metadata promises it.
   */
  async demandsIssuer({ issuer, callback }: ProviderDefinition): Promise<boolean> {
    if (issuer === undefined || callback?.issuerAlwaysSent !== undefined) return callback?.issuerAlwaysSent === true;
    return (await this.#promises.of(issuer)) === true;
  }

  /** Writes an issuer's promise into a definition that names its endpoints itself. An earlier promise stands. */
  async #pinPromise(definition: ProviderDefinition): Promise<ProviderDefinition> {
    const { id, issuer, callback } = definition;
    if (issuer === undefined || callback?.issuerAlwaysSent !== undefined) return definition;
    // The new definition replaces an altered one, which promises nothing.
    const stored = await this.#stored(id).catch(nullIfAltered);
    const promisedBefore = stored?.issuer === issuer && stored.callback?.issuerAlwaysSent === true;
    const promised = (await this.#promises.of(issuer)) ?? (promisedBefore ? true : null);
    return promised === null ? definition : { ...definition, callback: { ...callback, issuerAlwaysSent: promised } };
  }

  /** Asks an issuer for its endpoints once; the stored definition pins them. */
  async #discover(definition: ProviderDefinition): Promise<ProviderDefinition> {
    if (definition.issuer === undefined || definition.endpoints?.token !== undefined) return definition;
    const { discoverEndpoints } = await import('../oauth/discovery.ts');
    const found = await discoverEndpoints(this.#changes.world, definition.issuer, {
      allowLoopback: this.#allowLoopback,
    });
    const { token, authorization, revocation } = found;
    return {
      ...definition,
      endpoints: {
        token,
        ...(authorization === null ? {} : { authorization }),
        ...(revocation === null ? {} : { revocation }),
        ...definition.endpoints,
      },
      callback: {
        issuerAlwaysSent: false,
        ...definition.callback,
        ...(found.issParameterSupported ? { issuerAlwaysSent: true } : {}),
      },
    };
  }
}

export interface CatalogueOptions {
  readonly changes: ChangeContext;
  readonly reach: Reach;
  readonly allowLoopback: boolean;
  readonly given: readonly (ProviderDefinitionInput | ExtendingDefinitionInput)[];
}

interface Known {
  readonly definition: ProviderDefinition;
  readonly unsafe: boolean;
  readonly readAt: number;
}

/** Recognises a simulator's definition: only loopback mode permits a built-in id or an address without https. */
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

/** Loads the built-in definitions on demand: a program that reads one token needs at most one of them. */
async function builtIn(id: string): Promise<ProviderDefinition | null> {
  const { builtInProvider } = await import('../providers/catalogue.ts');
  return builtInProvider(id);
}

function nullIfAltered(error: unknown): null {
  if (isAlteredRow(error)) return null;
  throw error;
}
