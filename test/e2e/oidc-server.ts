import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import type { Provider } from 'oidc-provider';

export const redirectUri = 'http://127.0.0.1:9/callback';

/** A request that the server answered. Tokens are here in full: nothing of this is ever printed. */
export interface Served {
  readonly path: string;
  readonly status: number;
  readonly grantType: string | null;
  readonly authorization: string | null;
  readonly form: URLSearchParams;
  readonly answer: Readonly<Record<string, unknown>>;
}

export interface OidcClient {
  readonly clientId: string;
  readonly method: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt';
  /** A secret, or the private key as a JWK. */
  readonly secret: string;
}

/** A certified authorization server in this process, on a loopback port: it rotates, and revokes the family on a replay. */
export class OidcServer implements AsyncDisposable {
  readonly issuer: string;
  readonly clients: readonly OidcClient[];
  /** Every request to an endpoint, in order. */
  readonly served: Served[] = [];
  /** Takes the next answer to a refresh instead of sending it. The server has acted on the request by then. */
  withholdRefresh: ((response: ServerResponse) => void) | null = null;
  readonly #server: Server;
  readonly #provider: Provider;

  private constructor(server: Server, provider: Provider, issuer: string, clients: readonly OidcClient[]) {
    this.#server = server;
    this.#provider = provider;
    this.issuer = issuer;
    this.clients = clients;
    const answer = provider.callback();
    server.on('request', (request, response) => {
      this.#record(request, response);
      answer(request, response);
    });
  }

  static async start(redirectUris: readonly string[] = [redirectUri]): Promise<OidcServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the listener has no port');
    const issuer = `http://127.0.0.1:${address.port}`;
    const clients = newClients(redirectUris);
    const { Provider } = await import('oidc-provider');
    const provider = new Provider(issuer, configuration(clients.map(({ metadata }) => metadata)));
    return new OidcServer(
      server,
      provider,
      issuer,
      clients.map(({ client }) => client),
    );
  }

  client(method: OidcClient['method']): OidcClient {
    const client = this.clients.find((each) => each.method === method);
    if (client === undefined) throw new Error(`no client uses ${method}`);
    return client;
  }

  /** The requests for tokens with that grant type. */
  tokenRequests(grantType: 'authorization_code' | 'refresh_token'): readonly Served[] {
    return this.served.filter((each) => each.path === '/token' && each.grantType === grantType);
  }

  /** The newest refresh token that was issued. */
  get lastRefreshToken(): string {
    const tokens = this.served
      .map(({ answer }) => answer['refresh_token'])
      .filter((token) => typeof token === 'string');
    return tokens.at(-1) ?? '';
  }

  /** Asks the introspection endpoint (RFC 7662) whether a token is good. */
  async isActive(token: string): Promise<boolean> {
    const answer: unknown = await (await this.#post('/token/introspection', { token })).json();
    return typeof answer === 'object' && answer !== null && Reflect.get(answer, 'active') === true;
  }

  /** Ends an access token before its time; what it came with stays. */
  async forget(accessToken: string): Promise<void> {
    const token = await this.#provider.AccessToken.find(accessToken);
    if (token === undefined) throw new Error('there is no such access token');
    await token.destroy();
  }

  /** A refresh that the vault knows nothing of. */
  async refresh(refreshToken: string): Promise<{ status: number; error: unknown }> {
    const response = await this.#post('/token', { grant_type: 'refresh_token', refresh_token: refreshToken });
    const answer: unknown = await response.json();
    const error: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'error') : undefined;
    return { status: response.status, error };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  async #post(path: string, form: Record<string, string>): Promise<Response> {
    const { clientId, secret } = this.client('client_secret_post');
    const body = new URLSearchParams({ ...form, client_id: clientId, client_secret: secret });
    return fetch(`${this.issuer}${path}`, { method: 'POST', body });
  }

  /** Reads along. oidc-provider writes an answer with one `end`. */
  #record(request: IncomingMessage, response: ServerResponse): void {
    let sent = '';
    request.on('data', (chunk: Buffer) => {
      sent += chunk.toString('utf8');
    });
    const end = response.end.bind(response);
    const path = new URL(request.url ?? '/', this.issuer).pathname;
    response.end = (...args: unknown[]): ServerResponse => {
      const form = new URLSearchParams(sent);
      const grantType = form.get('grant_type');
      const answer = parse(args[0]);
      const authorization = request.headers.authorization ?? null;
      this.served.push({ path, status: response.statusCode, grantType, authorization, form, answer });
      const withhold = this.withholdRefresh;
      if (withhold === null || path !== '/token' || grantType !== 'refresh_token') {
        return Reflect.apply(end, response, args);
      }
      this.withholdRefresh = null;
      withhold(response);
      return response;
    };
  }
}

function parse(body: unknown): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(String(body));
    // Just checked: an object.
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function newClients(redirectUris: readonly string[]): { client: OidcClient; metadata: object }[] {
  // Basic authentication wants both parts form-encoded first (RFC 6749 section 2.3.1).
  const secret = `${randomBytes(24).toString('base64')}+:%/ &=`;
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { kid: 'client-key', alg: 'ES256', use: 'sig' };
  const jwks = { keys: [{ ...pair.publicKey.export({ format: 'jwk' }), ...key }] };
  const privateKey = JSON.stringify({ ...pair.privateKey.export({ format: 'jwk' }), ...key });
  const common = {
    redirect_uris: redirectUris,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
  const withSecret = (method: 'client_secret_basic' | 'client_secret_post', clientId: string) => ({
    client: { clientId, method, secret },
    metadata: { ...common, client_id: clientId, client_secret: secret, token_endpoint_auth_method: method },
  });
  return [
    withSecret('client_secret_basic', 'basic client'),
    withSecret('client_secret_post', 'post-client'),
    {
      client: { clientId: 'jwt-client', method: 'private_key_jwt', secret: privateKey },
      metadata: { ...common, client_id: 'jwt-client', jwks, token_endpoint_auth_method: 'private_key_jwt' },
    },
  ];
}

function configuration(clients: readonly object[]): object {
  const signing = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  return {
    clients,
    jwks: { keys: [{ ...signing, use: 'sig', alg: 'RS256', kid: 'server-key' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    features: {
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
    },
    ttl: {
      AccessToken: 3_600,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 3_600,
      RefreshToken: 86_400,
      Session: 3_600,
      Interaction: 600,
    },
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  };
}
