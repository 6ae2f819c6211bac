import { z } from 'zod';
import { GrantryError, type GrantryErrorCode, isGrantryError } from '../base/errors.ts';
import { jsonIn } from '../base/exact-json.ts';
import { checkKey, type GrantKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { readCall } from '../base/network/call-request.ts';
import { linesOf } from '../base/network/lines.ts';
import { platformResponse } from '../base/network/platform-response.ts';
import { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { apiKeyListSchema, apiKeySchema, newApiKeySchema } from '../schemas/api-key.ts';
import { appListSchema, appSchema, storedAppSchema } from '../schemas/app.ts';
import { budgetAnswerSchema } from '../schemas/budget.ts';
import {
  type Completion,
  type ConnectSession,
  type ConnectSessionInput,
  type ConnectSessionPage,
  connectSessionPageSchema,
  connectSessionSchema,
  type NewConnectSession,
  newConnectSessionSchema,
} from '../schemas/connect-session.ts';
import { grantPageSchema, grantSchema, storedGrantSchema } from '../schemas/grant.ts';
import { historyPageSchema } from '../schemas/history.ts';
import { importResultSchema } from '../schemas/import-line.ts';
import { toJson } from '../schemas/json.ts';
import { organizationsSchema } from '../schemas/organizations.ts';
import { definitionSchema, providerListSchema } from '../schemas/provider.ts';
import { adoptionSchema, healthSchema, recoverySchema, statusSchema } from '../schemas/reports.ts';
import { slotsListSchema } from '../schemas/slots.ts';
import { keyText } from '../schemas/thing.ts';
import { tokenSchema } from '../schemas/token.ts';
import { revocations } from '../schemas/words.ts';
import { tokenSourceOf } from '../vault/token-source.ts';
import type { AccessToken, ApiKey, ChildKeyInput, Grant, ImportResult, Vault } from '../vault/types.ts';
import { remoteAudit } from './audit.ts';
import { Http, type HttpRequest, notUnderstood, problemIn, type ServerAddress, segment } from './http.ts';
import { appBody, checkObject, filterQuery, proxiedTarget, routeOf, tokensBody } from './inputs.ts';

/** The vault behind a Grantry server, with the calls that only a server has. */
export interface GrantryClient extends Vault {
  /** Links with which a tenant's users connect the tenant in a browser. */
  readonly connectSessions: {
    /** Makes a link. @throws {GrantryError} `invalid_request`, `not_found` for provider or app */
    create(input: ConnectSessionInput): Promise<NewConnectSession>;
    /** Returns a session, or null. */
    get(id: string): Promise<ConnectSession | null>;
    /** Returns one page of sessions, newest first. */
    list(filter?: {
      tenant?: string | undefined;
      cursor?: string | undefined;
      limit?: number | undefined;
    }): Promise<ConnectSessionPage>;
    /** Confirms who came back, and stores the grant. */
    complete(id: string, completion: Completion): Promise<Grant>;
  };
  /**
   * Makes a child of the API key that this client has: narrower, for an hour at most. Give it to an agent or a job.
   *
   * The child ends with its parent. A child makes no children.
   *
   * @param input What is left out is as at the parent. An `expiresAt` later than in an hour counts as in an hour
   * @throws {GrantryError} `forbidden` for anything wider than the parent, `rate_limited` for more than 100 children
   *
   * @example
   * import { createClient } from 'grantry/client';
   *
   * const client = createClient({ url: 'https://grants.example', apiKey: 'gry_…' });
   * const { key } = await client.createChildKey({ role: 'caller', tenants: ['acme'], methods: ['GET'] });
   */
  createChildKey(input?: ChildKeyInput): Promise<{ readonly apiKey: ApiKey; readonly key: Secret }>;
  /** Checks that a Grantry server answers at the URL. @throws {GrantryError} `storage_unavailable`, `provider_error` */
  checkAlive(): Promise<void>;
  /** Asks the server whether it is quarantined; `quarantine` holds the answer from then on. */
  checkQuarantine(): Promise<void>;
}

const nothing = z.undefined();
const sharedWithSchema = z.array(keyText);

/** Implements {@link GrantryClient}: every call is one request. */
export class RemoteVault implements GrantryClient {
  readonly #http: Http;
  readonly #world: World;
  #quarantine: string | null = null;
  #closed = false;

  constructor(world: World, address: ServerAddress) {
    this.#http = new Http(world, address);
    this.#world = world;
  }

  async checkAlive(): Promise<void> {
    await this.#ask('GET', '/livez', statusSchema);
  }

  async checkQuarantine(): Promise<void> {
    const response = await this.#open().send('GET', '/readyz', { headers: {} });
    const error = response.ok ? null : await problemIn(response);
    const quarantined = isGrantryError(error, 'grant_quarantined');
    this.#quarantine = quarantined ? 'the server says that its database looks restored or cloned' : null;
  }

  get quarantine(): string | null {
    return this.#quarantine;
  }

  readonly apps: Vault['apps'] = {
    put: async (name, app) => this.#ask('PUT', `/v1/apps/${segment(name)}`, storedAppSchema, { body: appBody(app) }),
    get: async (name) => this.#find(`/v1/apps/${segment(name)}`, appSchema, 'not_found'),
    list: async () => (await this.#ask('GET', '/v1/apps', appListSchema)).items,
    remove: async (name) => {
      await this.#ask('DELETE', `/v1/apps/${segment(name)}`, nothing);
    },
    slots: async (name) => (await this.#ask('GET', `/v1/apps/${segment(name)}/slots`, slotsListSchema)).items,
  };

  readonly grants: Vault['grants'] = {
    get: async (key) => {
      const { path, query } = routeOf(key);
      return this.#find(path, grantSchema, 'grant_not_found', query);
    },
    list: async (filter = {}) => {
      checkObject('filter', filter);
      return this.#ask('GET', '/v1/grants', grantPageSchema, { query: filterQuery(filter) });
    },
  };

  readonly providers: Vault['providers'] = {
    put: async (definition) => {
      const { parseProviderDefinition } = await import('../providers/parse.ts');
      const checked = parseProviderDefinition(definition);
      // What a definition extends is the server's, which may know another version of it.
      const body = checked.extends === undefined ? checked : definition;
      return this.#ask('PUT', `/v1/providers/${segment(checked.id)}`, definitionSchema, { body });
    },
    get: async (id) => this.#find(`/v1/providers/${segment(id)}`, definitionSchema, 'not_found'),
    list: async () => (await this.#ask('GET', '/v1/providers', providerListSchema)).items,
    remove: async (id) => {
      await this.#ask('DELETE', `/v1/providers/${segment(id)}`, nothing);
    },
  };

  readonly keys: Vault['keys'] = {
    create: async (name, input) => {
      checkObject('key', input);
      const body = { name, ...toJson(input) };
      const { key, ...apiKey } = await this.#ask('POST', '/v1/keys', newApiKeySchema, { body });
      return { apiKey, key: new Secret(key) };
    },
    update: async (idOrName, changes) => {
      checkObject('change', changes);
      return this.#ask('PATCH', `/v1/keys/${segment(idOrName)}`, apiKeySchema, { body: toJson(changes) });
    },
    list: async () => (await this.#ask('GET', '/v1/keys', apiKeyListSchema)).items,
    revoke: async (idOrName) => {
      await this.#ask('DELETE', `/v1/keys/${segment(idOrName)}`, nothing);
    },
  };

  readonly audit: Vault['audit'] = remoteAudit(() => this.#open());

  readonly createChildKey: GrantryClient['createChildKey'] = async (input = {}) => {
    checkObject('key', input);
    const body = toJson(input);
    const { key, ...apiKey } = await this.#ask('POST', '/v1/keys/self/children', newApiKeySchema, { body });
    return { apiKey, key: new Secret(key) };
  };

  readonly connectSessions: GrantryClient['connectSessions'] = {
    create: async (input) => {
      const body = toJson(input);
      return this.#ask('POST', '/v1/connect-sessions', newConnectSessionSchema, { body });
    },
    get: async (id) => this.#find(`/v1/connect-sessions/${segment(id)}`, connectSessionSchema, 'not_found'),
    list: async (query = {}) => this.#ask('GET', '/v1/connect-sessions', connectSessionPageSchema, { query }),
    complete: async (id, completion) => {
      const path = `/v1/connect-sessions/${segment(id)}/complete`;
      return this.#ask('POST', path, grantSchema, { body: toJson(completion) });
    },
  };

  readonly getAccessToken: Vault['getAccessToken'] = async (key, { minValidity } = {}) => {
    // The route takes whole seconds; a longer validity satisfies the caller, too.
    const query = { min_validity: minValidity === undefined ? undefined : Math.ceil(minValidity) };
    return tokenOf(await this.#ofGrant('GET', key, tokenSchema, { below: '/token', query }));
  };

  readonly rejectAccessToken: Vault['rejectAccessToken'] = async (key, generation, { minValidity } = {}) => {
    const body = { rejected_generation: generation, min_validity: minValidity };
    return tokenOf(await this.#ofGrant('POST', key, tokenSchema, { below: '/token', body }));
  };

  /** Calls the API through the server's proxy: the token never comes here. */
  readonly fetch: Vault['fetch'] = async (key, target, init = {}) => {
    const { tenant, provider, account } = checkKey(key);
    const { pathOrUrl, method, headers, body, signal } = readCall(target, init, this.#world);
    const { path, host } = proxiedTarget(pathOrUrl);
    headers.set('grantry-account', account);
    if (host !== undefined) headers.set('grantry-host', host);
    const response = await this.#open().send(method, `/v1/proxy/${segment(tenant)}/${segment(provider)}${path}`, {
      headers,
      body: body.send(),
      ...(signal === undefined ? {} : { signal }),
    });
    // An answer without a generation is the server's own, not the API's.
    if (response.headers.get('grantry-generation') === null) throw await problemIn(response);
    return platformResponse(response, 'The Grantry server', signal);
  };

  readonly tokenSource: Vault['tokenSource'] = (key) => tokenSourceOf(this, key);

  readonly storeTokens: Vault['storeTokens'] = async (key, tokens) => {
    const body = tokensBody(tokens);
    const { sharedWith, result, differs, ...grant } = await this.#ofGrant('PUT', key, storedGrantSchema, { body });
    return { grant, sharedWith, result, differs };
  };

  async *importLines(lines: string | ReadableStream<Uint8Array>): AsyncGenerator<ImportResult> {
    const headers = { 'content-type': 'application/x-ndjson' };
    const response = await this.#open().send('POST', '/v1/import', { headers, body: lines });
    if (!response.ok) throw await problemIn(response);
    for await (const line of linesOf(response.body, limits.importLineBytesMax)) {
      const parsed = importResultSchema.safeParse('text' in line ? jsonIn(line.text) : undefined);
      if (!parsed.success) throw notUnderstood(response.status);
      yield parsed.data;
    }
  }

  readonly updateMetadata: Vault['updateMetadata'] = async (key, metadata) =>
    this.#ofGrant('PATCH', key, grantSchema, { body: { metadata } });

  readonly disconnect: Vault['disconnect'] = async (key, { revoke } = {}) => {
    const { path, query } = routeOf(key);
    // A server refuses a parameter that it does not know, so none revokes what it was told to leave alive.
    const all = { ...query, revoke: revoke === false ? 'false' : undefined };
    const { headers, status } = await this.#open().ask('DELETE', path, nothing, { query: all });
    const revocation = revocations.find((known) => known === headers.get('grantry-revocation'));
    if (revocation === undefined) throw notUnderstood(status);
    if (revocation !== 'shared') return { revocation };
    // The header is missing where the key may see none of them.
    const named = (headers.get('grantry-shared-with') ?? '').split(',').map((text) => text.trim());
    const sharedWith = sharedWithSchema.safeParse(named.filter((text) => text !== ''));
    if (!sharedWith.success) throw notUnderstood(status);
    return { revocation, sharedWith: sharedWith.data };
  };

  readonly organizations: Vault['organizations'] = async (key) =>
    this.#ofGrant('GET', key, organizationsSchema, { below: '/organizations' });

  readonly health: Vault['health'] = async (key, { refresh } = {}) => {
    const query = { refresh: refresh === true ? 'true' : undefined };
    return this.#ofGrant('POST', key, healthSchema, { below: '/health', query });
  };

  readonly budget: Vault['budget'] = async (key) =>
    (await this.#ofGrant('GET', key, budgetAnswerSchema, { below: '/budget' })).budget;

  readonly history: Vault['history'] = async (key, options = {}) =>
    this.#ofGrant('GET', key, historyPageSchema, { below: '/history', query: { ...options } });

  readonly recover: Vault['recover'] = async (key) => this.#ofGrant('POST', key, recoverySchema, { below: '/recover' });

  readonly adopt: Vault['adopt'] = async ({ afterRestore, onReport } = {}) => {
    const body = toJson({ afterRestore });
    const { items } = await this.#ask('POST', '/v1/adopt', adoptionSchema, { body });
    for (const report of items) onReport?.(report);
    return items;
  };

  async authorize(): Promise<never> {
    throw needsDatabase('authorize', 'the browser comes back to the server');
  }

  async completeAuthorization(): Promise<never> {
    throw needsDatabase('completeAuthorization', 'the browser comes back to the server');
  }

  async redeemCode(): Promise<never> {
    throw needsDatabase('redeemCode', 'no route takes a code');
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #find<Shape extends z.ZodType>(
    path: string,
    shape: Shape,
    absent: GrantryErrorCode,
    query: Readonly<Record<string, string | undefined>> = {},
  ): Promise<z.output<Shape> | null> {
    try {
      return await this.#ask('GET', path, shape, { query });
    } catch (error) {
      if (isGrantryError(error, absent)) return null;
      throw error;
    }
  }

  async #ofGrant<Shape extends z.ZodType>(
    method: string,
    key: GrantKey,
    shape: Shape,
    { below = '', query, body }: HttpRequest & { readonly below?: string },
  ): Promise<z.output<Shape>> {
    const route = routeOf(key);
    return this.#ask(method, route.path + below, shape, { query: { ...route.query, ...query }, body });
  }

  async #ask<Shape extends z.ZodType>(
    method: string,
    path: string,
    shape: Shape,
    request?: HttpRequest,
  ): Promise<z.output<Shape>> {
    return (await this.#open().ask(method, path, shape, request)).body;
  }

  #open(): Http {
    if (!this.#closed) return this.#http;
    throw new GrantryError('invalid_request', 'This client was closed.', {
      action: 'Make another one: createClient(…)',
    });
  }
}

function tokenOf({ apiDomain, dc, ...token }: z.output<typeof tokenSchema>): AccessToken {
  return { ...token, ...(apiDomain === undefined ? {} : { apiDomain }), ...(dc === undefined ? {} : { dc }) };
}

function needsDatabase(method: string, why: string): GrantryError {
  return new GrantryError('invalid_request', `${method} does not work through a server: ${why}.`, {
    action: 'Make a connect session: grantry connect TENANT PROVIDER, or call it on a vault that openVault opened.',
  });
}
