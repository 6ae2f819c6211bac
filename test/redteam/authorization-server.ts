/**
 * An authorization server on a loopback port that can be honest or not, and records every byte that reaches it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** One request as it arrived. */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly form: URLSearchParams;
}

interface Issued {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly challenge: string | null;
  used: boolean;
}

export interface ServerRules {
  /** The redirect URIs that are registered, letter by letter; any when left out. */
  redirectUris?: readonly string[];
  /** Forgets the challenge, as servers without PKCE do. */
  ignoresPkce?: boolean;
  /** Answers a token request by itself; `null` leaves it to the honest answer. */
  answerToken?: (heard: Heard, response: ServerResponse) => boolean;
  /** Publishes metadata that promises an `iss` in every callback, or that promises none. */
  promisesIssuer?: boolean;
  /** Members of the token answer, in place of or beside the honest ones. */
  tokens?: Record<string, unknown>;
}

export class AuthorizationServer implements AsyncDisposable {
  readonly origin: string;
  readonly heard: Heard[] = [];
  rules: ServerRules;
  readonly #server: Server;
  readonly #codes = new Map<string, Issued>();
  #tokens = 0;

  private constructor(server: Server, origin: string, rules: ServerRules) {
    this.#server = server;
    this.origin = origin;
    this.rules = rules;
    server.on('request', (request, response) => {
      void this.#answer(request, response);
    });
  }

  static async start(rules: ServerRules = {}): Promise<AuthorizationServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the listener has no port');
    return new AuthorizationServer(server, `http://127.0.0.1:${address.port}`, rules);
  }

  /** The provider definition under which it is registered. */
  definition(id: string, more: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      id,
      endpoints: {
        authorization: `${this.origin}/authorize`,
        token: `${this.origin}/token`,
        revocation: `${this.origin}/revoke`,
      },
      api: { hosts: [this.origin] },
      ...more,
    };
  }

  at(path: string): Heard[] {
    return this.heard.filter((each) => each.path === path);
  }

  /** A person consents: the query that the browser goes back with. */
  consent(authorizationUrl: string): { redirectUri: string; callback: URLSearchParams } {
    const { searchParams: query } = new URL(authorizationUrl);
    const redirectUri = query.get('redirect_uri') ?? '';
    if (this.rules.redirectUris !== undefined && !this.rules.redirectUris.includes(redirectUri)) {
      throw new Error('the redirect URI is not registered');
    }
    const code = `code-${randomBytes(18).toString('base64url')}`;
    const challenge = query.get('code_challenge');
    this.#codes.set(code, { clientId: query.get('client_id') ?? '', redirectUri, challenge, used: false });
    return { redirectUri, callback: new URLSearchParams({ code, state: query.get('state') ?? '' }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks).toString('utf8');
    const url = new URL(request.url ?? '/', this.origin);
    const heard: Heard = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body,
      form: new URLSearchParams(body),
    };
    this.heard.push(heard);
    if (heard.path === '/revoke') return json(response, 200, {});
    if (heard.path === '/.well-known/openid-configuration' && this.rules.promisesIssuer !== undefined) {
      return json(response, 200, {
        issuer: this.origin,
        authorization_endpoint: `${this.origin}/authorize`,
        token_endpoint: `${this.origin}/token`,
        authorization_response_iss_parameter_supported: this.rules.promisesIssuer,
      });
    }
    if (heard.path !== '/token') return json(response, 404, {});
    if (this.rules.answerToken?.(heard, response) === true) return;
    const issued = this.#codes.get(heard.form.get('code') ?? '');
    if (issued === undefined || issued.used || !this.#fits(issued, heard.form)) {
      return json(response, 400, { error: 'invalid_grant' });
    }
    issued.used = true;
    this.#tokens += 1;
    json(response, 200, {
      access_token: `access-${this.#tokens}-${randomBytes(12).toString('base64url')}`,
      refresh_token: `refresh-${this.#tokens}-${randomBytes(12).toString('base64url')}`,
      token_type: 'Bearer',
      expires_in: 3_600,
      scope: 'read',
      ...this.rules.tokens,
    });
  }

  #fits(issued: Issued, form: URLSearchParams): boolean {
    if (form.get('redirect_uri') !== issued.redirectUri) return false;
    if (this.rules.ignoresPkce === true || issued.challenge === null) return true;
    const verifier = form.get('code_verifier') ?? '';
    return createHash('sha256').update(verifier).digest('base64url') === issued.challenge;
  }
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
