import { nameCallers } from '../base/callers-line.ts';
import { type GrantryError, invalidRequest } from '../base/errors.ts';
import type { GrantKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { writeUses } from './api/uses.ts';
import { type HandOutAudit, HandOuts } from './audit/hand-outs.ts';
import { checkText } from './checks.ts';
import type { VaultContext } from './context.ts';
import { ChangeFeed } from './hand-out/change-feed.ts';
import { HandOut } from './hand-out/hand-out.ts';
import { TokenCache } from './hand-out/token-cache.ts';
import { registerInternals } from './internals.ts';
import { retireOwner } from './spool/owner.ts';
import { tokenSourceOf } from './token-source.ts';
import type {
  AccessToken,
  AdoptReport,
  AuthorizeInput,
  CallTarget,
  Disconnected,
  GetAccessTokenOptions,
  Grant,
  HealthReport,
  HistoryOptions,
  HistoryPage,
  ImportResult,
  Organizations,
  RecoverReport,
  StartedAuthorization,
  StoredTokens,
  TokenBudget,
  TokenSource,
  TokensInput,
  Vault,
  VaultRequest,
} from './types.ts';

export interface OpenVaultOptions {
  backgroundRefresh: boolean;
  staleHandOutMs: number;
  handOutAudit: HandOutAudit;
  /** Tells everything that waits without end to give up. */
  close(): void;
}

/** The vault's front: each call names the file that does it. What a reader of tokens never needs is loaded when called. */
export class OpenVault implements Vault {
  readonly #context: VaultContext;
  readonly #options: OpenVaultOptions;
  readonly #cache: TokenCache;
  readonly #feed: ChangeFeed;
  readonly #handOut: HandOut;
  readonly #handOuts: HandOuts;
  /** Work that closing waits for. */
  readonly #recoveries = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(context: VaultContext, options: OpenVaultOptions) {
    this.#context = context;
    this.#options = options;
    // Without refreshes in the background it is a program that ends soon, and its start is what counts.
    this.#cache = new TokenCache(options.backgroundRefresh ? limits.cacheEntriesMax : limits.cacheEntriesOneShot);
    this.#feed = new ChangeFeed(context, this.#cache);
    this.#handOuts = new HandOuts(context, { audit: options.handOutAudit });
    this.#handOut = new HandOut({
      ...options,
      handOuts: this.#handOuts,
      context,
      cache: this.#cache,
      feed: this.#feed,
      askOwnApi: async (key, token) => (await import('./api/health.ts')).askOwnApi(context, this.#handOut, key, token),
    });
    registerInternals(this, {
      open: () => this.#open(),
      handOut: this.#handOut,
      handOuts: this.#handOuts,
      forget: (key) => this.#cache.forget(key),
      windDown: () => this.#options.close(),
      spending: context.spending,
    });
  }

  readonly apps: Vault['apps'] = nameCallers({
    put: async (name, input) => {
      const { putAppOf } = await import('./app/apps.ts');
      const { app, warnings } = await putAppOf(this.#open(), name, input);
      return { ...app, warnings };
    },
    get: async (name) => (await import('./app/apps.ts')).getApp(this.#open(), name),
    list: async () => (await import('./app/apps.ts')).listAllApps(this.#open()),
    remove: async (name) => (await import('./app/apps.ts')).removeApp(this.#open(), name),
    slots: async (name) => (await import('./grant/slots/read.ts')).slotsOfApp(this.#open(), name),
  });

  readonly grants: Vault['grants'] = nameCallers({
    get: async (key) => (await import('./grant/grants.ts')).getGrant(this.#open(), key),
    list: async (filter) => (await import('./grant/grants.ts')).listGrantPage(this.#open(), filter),
  });

  readonly providers: Vault['providers'] = nameCallers({
    put: async (definition) => (await this.#open().providers.put(definition)).definition,
    get: async (id) => this.#open().providers.get(checkText('provider id', id, limits.nameCharsMax)),
    list: async () => this.#open().providers.list(),
    remove: async (id) => this.#open().providers.remove(checkText('provider id', id, limits.nameCharsMax)),
  });

  readonly keys: Vault['keys'] = nameCallers({
    create: async (name, input) => (await import('./api-keys.ts')).createApiKey(this.#open(), name, input),
    update: async (idOrName, changes) =>
      (await import('./api-keys.ts')).updateApiKeyOf(this.#open(), idOrName, changes),
    list: async () => (await import('./api-keys.ts')).listAllApiKeys(this.#open()),
    revoke: async (idOrName) => (await import('./api-keys.ts')).revokeApiKeyOf(this.#open(), idOrName),
  });

  readonly audit: Vault['audit'] = nameCallers({
    list: async (filter) => {
      await this.#handOuts.write();
      return (await import('./audit/read.ts')).listAudit(this.#open(), filter);
    },
    checkpoint: async () => {
      await this.#handOuts.write();
      return (await import('./audit/checkpoint.ts')).checkpointNow(this.#open());
    },
    verify: async (options) => {
      await this.#handOuts.write();
      return (await import('./audit/verify.ts')).verifyStored(this.#open(), options);
    },
    export: () => exportLines(() => this.#open(), this.#handOuts),
    prove: async (seq) => (await import('./audit/prove.ts')).proveEntry(this.#open(), seq),
  });

  getAccessToken(key: GrantKey, options?: GetAccessTokenOptions): Promise<AccessToken> {
    if (this.#closed !== undefined) return Promise.reject(closedError());
    return this.#handOut.get(key, options);
  }

  async rejectAccessToken(key: GrantKey, generation: number, options?: GetAccessTokenOptions): Promise<AccessToken> {
    this.#open();
    return this.#handOut.reject(key, generation, options);
  }

  async fetch(key: GrantKey, target: CallTarget, init?: VaultRequest): Promise<Response> {
    const { callApi } = await import('./api/call.ts');
    return callApi(this.#open(), this.#handOut, key, target, init);
  }

  async authorize(input: AuthorizeInput): Promise<StartedAuthorization> {
    const { authorize } = await import('./connect/start.ts');
    return authorize(this.#open(), input);
  }

  async completeAuthorization(callbackUrl: string | URL): Promise<Grant> {
    const { completeAuthorization } = await import('./connect/complete.ts');
    const context = this.#open();
    const grant = await context.spending.run(() =>
      completeAuthorization(context, callbackUrl, (key, generation) => this.#handOut.prove(key, generation)),
    );
    this.#cache.forget(grant);
    return grant;
  }

  async redeemCode(key: GrantKey, input: Parameters<Vault['redeemCode']>[1]): Promise<Grant> {
    const { redeemCode } = await import('./connect/complete.ts');
    const context = this.#open();
    const grant = await context.spending.run(() => redeemCode(context, key, input));
    this.#cache.forget(grant);
    return grant;
  }

  async storeTokens(key: GrantKey, tokens: TokensInput): Promise<StoredTokens> {
    const { storeTokens } = await import('./grant/store-tokens.ts');
    const context = this.#open();
    const stored = await storeTokens(context, key, tokens);
    this.#cache.forget(stored.grant);
    const isStored = stored.result === 'imported' || stored.result === 'replaced';
    if (!isStored || tokens.accessToken === undefined) return stored;
    const { learnOrganization } = await import('./organization/learn.ts');
    const grant = await this.#finished(learnOrganization(context, stored.grant, { isNew: false }));
    this.#cache.forget(grant);
    return { ...stored, grant };
  }

  async *importLines(lines: string | ReadableStream<Uint8Array>): AsyncGenerator<ImportResult> {
    this.#open();
    const { importLines } = await import('./import/import.ts');
    yield* importLines(() => this, lines);
  }

  async updateMetadata(key: GrantKey, changes: Readonly<Record<string, unknown>>): Promise<Grant> {
    const { updateMetadata } = await import('./grant/update-metadata.ts');
    const grant = await updateMetadata(this.#open(), key, changes);
    // The data centre and API host of the token in memory may have changed.
    this.#cache.forget(grant);
    return grant;
  }

  tokenSource(key: GrantKey): TokenSource {
    return tokenSourceOf(this, key);
  }

  async disconnect(key: GrantKey, options?: { revoke?: boolean }): Promise<Disconnected> {
    const { disconnect } = await import('./disconnect.ts');
    return disconnect(this.#open(), key, { ...options, withhold: (checked) => this.#cache.withhold(checked) });
  }

  async organizations(key: GrantKey): Promise<Organizations> {
    const { organizationsOf } = await import('./api/organizations.ts');
    const found = await organizationsOf(this.#open(), this.#handOut, key);
    this.#cache.forget(found);
    return found;
  }

  async health(key: GrantKey, options?: { refresh?: boolean | undefined }): Promise<HealthReport> {
    const { checkHealth } = await import('./api/health.ts');
    return checkHealth(this.#open(), this.#handOut, key, options);
  }

  async budget(key: GrantKey): Promise<TokenBudget | null> {
    return (await import('./refresh/budget.ts')).budgetOf(this.#open(), key);
  }

  async history(key: GrantKey, options?: HistoryOptions): Promise<HistoryPage> {
    await this.#handOuts.write();
    return (await import('./audit/history.ts')).historyOf(this.#open(), key, options);
  }

  get quarantine(): string | null {
    return this.#context.guard.reason;
  }

  async recover(key: GrantKey): Promise<RecoverReport> {
    const { recoverGrant } = await import('./upkeep/recover.ts');
    const report = await this.#finished(recoverGrant(this.#open(), key, { replacedToo: true }));
    this.#cache.forget(report);
    return report;
  }

  async adopt(options?: Parameters<Vault['adopt']>[0]): Promise<readonly AdoptReport[]> {
    const { adoptDatabase } = await import('./upkeep/adopt.ts');
    try {
      return await this.#finished(adoptDatabase(this.#open(), options));
    } finally {
      this.#cache.forgetAll();
    }
  }

  /** Finishes what must not be cut off: refreshes past their point of no return. Then lets go of the database. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#options.close();
    await this.#handOut.close();
    await Promise.allSettled(this.#recoveries);
    await this.#context.spending.idle();
    // What cannot be written leaves its attempt open: the next reader of the database finds it in doubt.
    await this.#context.pendingOutcomes.write(this.#context);
    // A program that ends soon writes nothing: its calls would cost a transaction each.
    if (this.#options.backgroundRefresh && this.#context.guard.reason === null) await writeUses(this.#context);
    await this.#handOuts.close();
    await this.#feed.close();
    await this.#context.guard.close();
    retireOwner(this.#context.owner);
    await this.#context.store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Lets closing wait for the work. */
  async #finished<T>(work: Promise<T>): Promise<T> {
    this.#recoveries.add(work);
    try {
      return await work;
    } finally {
      this.#recoveries.delete(work);
    }
  }

  #open(): VaultContext {
    if (this.#closed !== undefined) throw closedError();
    return this.#context;
  }
}

// What `getAccessToken` returns comes from the hand-out, which names callers without a cost to a token from memory.
nameCallers(OpenVault.prototype, ['getAccessToken']);

async function* exportLines(open: () => VaultContext, handOuts: HandOuts): AsyncGenerator<string> {
  await handOuts.write();
  const { exportLog } = await import('./audit/export.ts');
  yield* exportLog(open());
}

function closedError(): GrantryError {
  return invalidRequest('This vault was closed.', { action: 'Open it again: openVault(…)' });
}
