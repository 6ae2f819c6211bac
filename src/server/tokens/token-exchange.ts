import type { Hono, Context as HonoContext } from 'hono';
import { GrantryError, isGrantryError } from '../../base/errors.ts';
import { checkKey } from '../../base/ids.ts';
import { assertMayFor, type Principal } from '../access.ts';
import type { ServerContext } from '../context.ts';
import { readForm } from '../limits/body.ts';
import { problemOf, retryAfterSeconds } from '../problem.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

const parameters = new Set([
  'grant_type',
  'audience',
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'scope',
  'client_id',
  'client_secret',
  'account',
  'min_validity',
]);

/**
 * `POST /oauth2/token`: OAuth 2.0 Token Exchange (RFC 8693), for tools that speak OAuth and nothing else.
 *
 * The API key authenticates as a client: its id is the `client_id`, the key the `client_secret`, by Basic or in the form.
 * `audience` is the provider, `subject_token` the tenant's name; no token that anybody issued, so that its
 * `subject_token_type` may be what the tool sends. Errors have the form of RFC 6749 section 5.2.
 */
export function mountTokenExchange(app: Hono, context: ServerContext): void {
  app.on('post', '/oauth2/token', async (request) => {
    try {
      return await exchange(context, request);
    } catch (error) {
      return refusal(error, request.req.header('authorization') !== undefined);
    }
  });
}

async function exchange(context: ServerContext, request: HonoContext): Promise<Response> {
  const form = await readForm(request.req.raw, context.world);
  const principal = await authenticate(context, request.req.header('authorization'), form);
  if (form['grant_type'] !== grantType)
    throw new OAuthRefusal('unsupported_grant_type', `It takes ${grantType} alone.`);
  const unknown = Object.keys(form).find((name) => !parameters.has(name));
  if (unknown === 'resource' || unknown === 'actor_token') {
    throw new OAuthRefusal('invalid_request', `The parameter ${unknown} is not supported.`);
  }
  const { audience, subject_token: tenant, requested_token_type: wanted } = form;
  if (audience === undefined || audience === '')
    throw new OAuthRefusal('invalid_target', 'audience names the provider.');
  if (tenant === undefined || tenant === '')
    throw new OAuthRefusal('invalid_request', 'subject_token names the tenant.');
  if (wanted !== undefined && wanted !== accessTokenType) {
    throw new OAuthRefusal('invalid_request', `Only ${accessTokenType} is issued.`);
  }
  const key = checkKey({ tenant, provider: audience, account: form['account'] });
  assertMayFor(principal, 'read_token', key);
  if (context.traffic.isPressed) context.traffic.assertFair(key.tenant);
  const token = await context.vault().getAccessToken(key, minValidity(form['min_validity']));
  const asked = form['scope']?.split(' ').filter((scope) => scope !== '') ?? [];
  const missing = asked.filter((scope) => !token.scopes.includes(scope));
  // A provider's token has the scopes of its grant: less cannot be cut out of it, and more is not there.
  if (missing.length > 0)
    throw new OAuthRefusal('invalid_scope', 'The grant does not have every scope that was asked for.');
  return json(200, {
    access_token: token.accessToken,
    issued_token_type: accessTokenType,
    token_type: token.tokenType,
    expires_in: Math.max(0, Math.floor((token.expiresAt.getTime() - context.world.now()) / 1_000)),
    scope: token.scopes.join(' '),
    api_domain: token.apiDomain ?? null,
    generation: token.generation,
  });
}

async function authenticate(
  context: ServerContext,
  header: string | undefined,
  form: Readonly<Record<string, string>>,
): Promise<Principal> {
  const { client_id: id, client_secret: key } = form;
  const basic = header === undefined ? undefined : basicOf(header);
  if (basic !== undefined && key !== undefined) {
    throw new OAuthRefusal('invalid_request', 'Two ways of client authentication are one too many.');
  }
  const claimed = basic ?? { id, key };
  if (claimed.id === undefined || claimed.key === undefined || claimed.key === '') {
    throw new OAuthRefusal(
      'invalid_client',
      'The client is the API key: its id as client_id, the key as client_secret.',
    );
  }
  const principal = await context.access.authenticateKey(claimed.key);
  if (principal.id !== claimed.id) throw new OAuthRefusal('invalid_client', "The client_id is not this API key's id.");
  return principal;
}

/** Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1). */
function basicOf(header: string): { id: string; key: string } {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1];
  const [id, key, ...others] = Buffer.from(encoded ?? '', 'base64')
    .toString('utf8')
    .split(':');
  if (id === undefined || key === undefined || others.length > 0) {
    throw new OAuthRefusal('invalid_client', 'The Authorization header is not Basic with the id and the API key.');
  }
  try {
    return { id: formDecode(id), key: formDecode(key) };
  } catch {
    throw new OAuthRefusal('invalid_client', 'The Authorization header holds broken percent-encoding.');
  }
}

function formDecode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

function minValidity(text: string | undefined): { minValidity: number } | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,8}$/.test(text)) throw new OAuthRefusal('invalid_request', 'min_validity is a number of seconds.');
  return { minValidity: Number(text) };
}

type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_target'
  | 'invalid_scope'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'temporarily_unavailable'
  | 'server_error';

class OAuthRefusal extends Error {
  readonly code: OAuthErrorCode;

  constructor(code: OAuthErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

function refusal(error: unknown, sentHeader: boolean): Response {
  if (error instanceof OAuthRefusal) return answerRefusal(error.code, error.message, sentHeader);
  const known = isGrantryError(error) ? error : new GrantryError('internal', 'Something went wrong inside Grantry.');
  const { status, code, detail, action } = problemOf(known);
  const description = `${detail} ${action}`;
  if (code === 'unauthorized') return answerRefusal('invalid_client', description, sentHeader);
  const retryAfter = retryAfterSeconds(known);
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  return json(
    status < 500 ? 400 : status,
    { error: oauthCodeOf(known), error_description: printable(description), grantry_code: code },
    headers,
  );
}

function oauthCodeOf({ code }: GrantryError): OAuthErrorCode {
  if (code === 'invalid_request' || code === 'payload_too_large') return 'invalid_request';
  if (code === 'forbidden') return 'unauthorized_client';
  if (code === 'not_found') return 'invalid_target';
  if (code === 'grant_not_found' || code === 'reauthorization_required') return 'invalid_grant';
  if (code === 'insufficient_scope') return 'invalid_scope';
  if (code === 'internal' || code === 'integrity_failed') return 'server_error';
  return 'temporarily_unavailable';
}

function answerRefusal(error: OAuthErrorCode, description: string, sentHeader: boolean): Response {
  const isClient = error === 'invalid_client';
  const headers = isClient && sentHeader ? { 'www-authenticate': 'Basic realm="grantry"' } : {};
  return json(isClient ? 401 : 400, { error, error_description: printable(description) }, headers);
}

/** RFC 6749 section 5.2 allows these characters alone in a description. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'");
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  const all = { 'content-type': 'application/json', 'cache-control': 'no-store', pragma: 'no-cache', ...headers };
  return new Response(JSON.stringify(body), { status, headers: all });
}
