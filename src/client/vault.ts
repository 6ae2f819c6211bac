import { z } from 'zod';
import { GrantryError, isGrantryError } from '../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../base/ids.ts';
import { limits } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';
import type { World } from '../base/world.ts';
import { linesOf } from '../server/limits/lines.ts';
import { type ImportResult, resultSchema } from '../server/routes/import.ts';
import {
  adoptSchema,
  appSchema,
  connectSessionSchema,
  definitionSchema,
  grantPageSchema,
  grantSchema,
  healthSchema,
  keySchema,
  newConnectSchema,
  newKeySchema,
  providerSummarySchema,
  recoverSchema,
  tokenSchema,
} from '../server/schemas.ts';
import type {
  AccessToken,
  AdoptReport,
  AppInput,
  Disconnected,
  GetAccessTokenOptions,
  Grant,
  HealthReport,
  RecoverReport,
  StoredTokens,
  TokensInput,
  Vault,
  VaultRequest,
} from '../vault/types.ts';
import { adoptReportOf, appOf, grantOf, healthOf, keyOf, placeOf, tokenOf } from './grants.ts';
import { Client, errorOf, parseJson, problemIn, type ServerAddress, segment } from './http.ts';

const nothing = z.undefined();
const items = <Shape extends z.ZodType>(shape: Shape) => z.object({ items: z.array(shape) });
const revocations = ['revoked', 'queued', 'not_supported', 'nothing', 'skipped'] as const;

/** A server's vault: every call is a request. What only a database can do says so. */
export class RemoteVault implements Vault {
  readonly #client: Client;
  #quarantine: string | null = null;

  constructor(world: World, address: ServerAddress) {
    this.#client = new Client(world, address);
  }

  /** Asks the server whether it may refresh; what it says is what `quarantine` tells from then on. */
  async look(): Promise<void> {
    const response = await this.#client.send('GET', '/readyz', { headers: {} });
    const error = response.ok ? null : await problemIn(response);
    const quarantined = isGrantryError(error, 'grant_quarantined');
    this.#quarantine = quarantined ? 'the server says that its database looks restored or cloned' : null;
  }

  get quarantine(): string | null {
    return this.#quarantine;
  }

  readonly apps: Vault['apps'] = {
    put: async (name, app) =>
      appOf((await this.#client.ask('PUT', `/v1/apps/${segment(name)}`, appSchema, { body: appBody(app) })).body),
    get: async (name) => {
      const found = await this.#find(`/v1/apps/${segment(name)}`, appSchema);
      return found === null ? null : appOf(found);
    },
    list: async () => (await this.#client.ask('GET', '/v1/apps', items(appSchema))).body.items.map(appOf),
    remove: async (name) => {
      await this.#client.ask('DELETE', `/v1/apps/${segment(name)}`, nothing);
    },
  };

  readonly grants: Vault['grants'] = {
    get: async (key) => {
      const { path, query } = placeOf(key);
      const found = await this.#find(path, grantSchema, query);
      return found === null ? null : grantOf(found);
    },
    list: async (filter = {}) => {
      const { tenant, provider, state, updatedSince, cursor, limit } = filter;
      const query = { tenant, provider, state, updated_since: updatedSince?.toISOString(), cursor, limit };
      const { body } = await this.#client.ask('GET', '/v1/grants', grantPageSchema, { query });
      return { items: body.items.map(grantOf), next: body.next_cursor };
    },
  };

  readonly providers: Vault['providers'] = {
    put: async (definition) => {
      const { parseProviderDefinition } = await import('../providers/parse.ts');
      const { id } = parseProviderDefinition(definition);
      const path = `/v1/providers/${segment(id)}`;
      const { body } = await this.#client.ask('PUT', path, definitionSchema, { body: definition });
      return parseProviderDefinition(body);
    },
    get: async (id) => {
      const found = await this.#find(`/v1/providers/${segment(id)}`, definitionSchema);
      if (found === null) return null;
      const { parseProviderDefinition } = await import('../providers/parse.ts');
      return parseProviderDefinition(found);
    },
    list: async () => {
      const { body } = await this.#client.ask('GET', '/v1/providers', items(providerSummarySchema));
      return body.items.map(({ id, name, built_in: builtIn }) => ({ id, name, builtIn }));
    },
    remove: async (id) => {
      await this.#client.ask('DELETE', `/v1/providers/${segment(id)}`, nothing);
    },
  };

  readonly keys: Vault['keys'] = {
    create: async (name, { role, tenants, providers, expiresAt }) => {
      const body = { name, role, tenants, providers, expires_at: expiresAt?.toISOString() };
      const made = await this.#client.ask('POST', '/v1/keys', newKeySchema, { body });
      return { apiKey: keyOf(made.body), key: new Secret(made.body.key) };
    },
    list: async () => (await this.#client.ask('GET', '/v1/keys', items(keySchema))).body.items.map(keyOf),
    revoke: async (idOrName) => {
      await this.#client.ask('DELETE', `/v1/keys/${segment(idOrName)}`, nothing);
    },
  };

  async getAccessToken(key: GrantKey, options: GetAccessTokenOptions = {}): Promise<AccessToken> {
    const { path, query } = placeOf(key);
    const all = { ...query, min_validity: options.minValidity };
    return tokenOf((await this.#client.ask('GET', `${path}/token`, tokenSchema, { query: all })).body);
  }

  async rejectAccessToken(
    key: GrantKey,
    generation: number,
    options: GetAccessTokenOptions = {},
  ): Promise<AccessToken> {
    const { path, query } = placeOf(key);
    const body = { rejected_generation: generation, min_validity: options.minValidity };
    return tokenOf((await this.#client.ask('POST', `${path}/token`, tokenSchema, { query, body })).body);
  }

  /** Through the server's proxy: the token never comes here. */
  async fetch(key: GrantKey, pathOrUrl: string, init: VaultRequest = {}): Promise<Response> {
    const { tenant, provider, account } = checkKey(key);
    const headers = new Headers(init.headers);
    headers.set('grantry-account', account);
    const absolute = URL.canParse(pathOrUrl) ? new URL(pathOrUrl) : null;
    if (absolute !== null) headers.set('grantry-host', absolute.host);
    const path = absolute === null ? pathOrUrl : `${absolute.pathname}${absolute.search}`;
    checkPath(path);
    const response = await this.#client.send(
      init.method ?? 'GET',
      `/v1/proxy/${segment(tenant)}/${segment(provider)}${path}`,
      { headers, body: init.body ?? null, ...(init.signal === undefined ? {} : { signal: init.signal }) },
    );
    // Without a generation it is the server that answers, not the API.
    if (response.headers.get('grantry-generation') === null) throw await problemIn(response);
    return response;
  }

  /** Stores many grants in one request, and tells what became of each line as the server goes on. */
  async *importLines(body: string | ReadableStream<Uint8Array>): AsyncGenerator<ImportResult> {
    const headers = { 'content-type': 'application/x-ndjson' };
    const response = await this.#client.send('POST', '/v1/import', { headers, body });
    if (!response.ok) throw await problemIn(response);
    for await (const line of linesOf(response.body, limits.importLineBytesMax)) {
      yield resultSchema.parse('text' in line ? parseJson(line.text) : undefined);
    }
  }

  async storeTokens(key: GrantKey, tokens: TokensInput): Promise<StoredTokens> {
    const { account, ...rest } = checkKey(key);
    const line = { ...rest, account, ...tokensBody(tokens) };
    const { value: result } = await this.importLines(`${JSON.stringify(line)}\n`).next();
    if (result === undefined) throw new GrantryError('internal', 'The server said nothing of what it stored.');
    if (result.code !== undefined) throw errorOf(result.code, result.detail ?? '', result.action);
    const grant = await this.grants.get({ ...rest, account });
    if (grant === null) throw new GrantryError('internal', 'A grant that was just stored is gone.');
    return { grant, sharedWith: (result.shared_with ?? []).map(keyIn) };
  }

  async disconnect(key: GrantKey): Promise<Disconnected> {
    const { path, query } = placeOf(key);
    const { headers } = await this.#client.ask('DELETE', path, nothing, { query });
    const said = headers.get('grantry-revocation');
    return { revocation: revocations.find((known) => known === said) ?? 'queued' };
  }

  async health(key: GrantKey): Promise<HealthReport> {
    const { path, query } = placeOf(key);
    return healthOf((await this.#client.ask('POST', `${path}/health`, healthSchema, { query })).body);
  }

  async recover(key: GrantKey): Promise<RecoverReport> {
    const { path, query } = placeOf(key);
    const { error, ...report } = (await this.#client.ask('POST', `${path}/recover`, recoverSchema, { query })).body;
    return { ...report, ...(error === undefined ? {} : { error }) };
  }

  async adopt(options: Parameters<Vault['adopt']>[0] = {}): Promise<readonly AdoptReport[]> {
    const body = { after_restore: options.afterRestore === true };
    const reports = (await this.#client.ask('POST', '/v1/adopt', adoptSchema, { body })).body.items.map(adoptReportOf);
    for (const report of reports) options.onReport?.(report);
    return reports;
  }

  /** A link that the tenant's user opens; the server does the rest. */
  async createConnectSession(
    key: CheckedKey,
    options: { app?: string | undefined; scopes?: readonly string[] | undefined },
  ): Promise<{ id: string; url: string; expiresAt: Date }> {
    const body = { ...key, app: options.app, scopes: options.scopes };
    const made = (await this.#client.ask('POST', '/v1/connect-sessions', newConnectSchema, { body })).body;
    return { id: made.id, url: made.url, expiresAt: new Date(made.expires_at) };
  }

  /** How a connect session stands. */
  async connectSession(id: string): Promise<Pick<z.infer<typeof connectSessionSchema>, 'state' | 'error'>> {
    return (await this.#client.ask('GET', `/v1/connect-sessions/${segment(id)}`, connectSessionSchema)).body;
  }

  authorize(): Promise<never> {
    return Promise.reject(onlyAtTheDatabase('An authorization through a redirect URI of this machine'));
  }

  completeAuthorization(): Promise<Grant> {
    return Promise.reject(onlyAtTheDatabase('Pasting a callback'));
  }

  redeemCode(): Promise<Grant> {
    return Promise.reject(onlyAtTheDatabase('Redeeming a self-client code'));
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  async #find<Shape extends z.ZodType>(
    path: string,
    shape: Shape,
    query: Readonly<Record<string, string | undefined>> = {},
  ): Promise<z.infer<Shape> | null> {
    try {
      return (await this.#client.ask('GET', path, shape, { query })).body;
    } catch (error) {
      if (isGrantryError(error, 'not_found') || isGrantryError(error, 'grant_not_found')) return null;
      throw error;
    }
  }
}

/** Such a path would leave the proxy on its way, and reach another route with this key. */
function checkPath(pathAndQuery: string): void {
  const path = pathAndQuery.replace(/[?#].*$/s, '');
  if (path.startsWith('/') && !/(?:^|\/|\\|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\;?#]|%2f|%5c|%3b)/i.test(path)) return;
  throw new GrantryError('invalid_request', 'A path starts with one slash, and has no "." or ".." in it.');
}

function keyIn(text: string): GrantKey {
  const [tenant = '', provider = '', account] = text.split('/');
  return { tenant, provider, account };
}

function appBody(app: AppInput): Record<string, unknown> {
  const secrets = Object.entries(app.clientSecrets ?? {}).map(([dc, secret]) => [dc, plain(secret)]);
  return {
    provider: app.provider,
    client_id: app.clientId,
    client_secret: app.clientSecret === undefined ? undefined : plain(app.clientSecret),
    client_secrets: app.clientSecrets === undefined ? undefined : Object.fromEntries(secrets),
    dc: app.dc,
    redirect_uri: app.redirectUri,
    scopes: app.scopes,
    tenants: app.tenants,
    return_to: app.returnTo,
  };
}

function tokensBody(tokens: TokensInput): Record<string, unknown> {
  return {
    app: tokens.app,
    refresh_token: plain(tokens.refreshToken),
    access_token: tokens.accessToken === undefined ? undefined : plain(tokens.accessToken),
    expires_in: tokens.expiresIn,
    scope: tokens.scopes?.join(' '),
    metadata: tokens.metadata,
  };
}

/** The body of a request to the server is where these secrets go. */
function plain(secret: string | Secret): string {
  return secret instanceof Secret ? secret.reveal() : secret;
}

function onlyAtTheDatabase(what: string): GrantryError {
  return new GrantryError('invalid_request', `${what} is not done through a server.`, {
    action: 'Unset GRANTRY_URL where the database is, or connect in the browser: grantry connect TENANT PROVIDER',
  });
}
