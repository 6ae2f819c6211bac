import type { Hono, Context as HonoContext } from 'hono';
import { actingAs } from '../../base/acting.ts';
import { type GrantryErrorCode, isGrantryError } from '../../base/errors.ts';
import { checkKey } from '../../base/ids.ts';
import { secondsUntil } from '../../schemas/write-json.ts';
import { actingFor } from '../acting.ts';
import type { ServerContext } from '../context.ts';
import { readForm } from '../limits/body.ts';
import { addressOf } from '../limits/strangers.ts';
import { assertMayFor, type Principal, seenBy } from '../principal.ts';
import { knownError, problemOf, retryAfterHeader } from '../problem.ts';
import { responseOf } from '../route.ts';
import { noteCaller, noteRefused, outgoingOf } from '../telemetry/watch.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

/**
 * Serves `POST /oauth2/token`: OAuth 2.0 Token Exchange (RFC 8693), for tools that only speak OAuth.
 *
 * The API key authenticates as a client: its id is the `client_id`, the key the `client_secret`, by Basic or in the form.
 * `audience` is the provider, `subject_token` the tenant's name. That name is no issued token, so any
 * `subject_token_type` is accepted. Errors have the form of RFC 6749 section 5.2.
 */
export function mountTokenExchange(app: Hono, context: ServerContext): void {
  app.on('post', '/oauth2/token', async (request) => {
    try {
      return await exchange(context, request);
    } catch (error) {
      noteRefused(outgoingOf(request), codeIn(error));
      return refusal(context, error, request.req.header('authorization') !== undefined);
    }
  });
}

async function exchange(context: ServerContext, request: HonoContext): Promise<Response> {
  const { form, principal } = await readClient(context, request);
  if (form['grant_type'] !== grantType)
    throw new OAuthRefusal('unsupported_grant_type', `The only supported grant type is ${grantType}.`);
  const unsupported = ['resource', 'actor_token'].find((name) => name in form);
  if (unsupported !== undefined) {
    throw new OAuthRefusal('invalid_request', `The parameter ${unsupported} is not supported.`);
  }
  const { audience, subject_token: tenant, requested_token_type: wanted } = form;
  if (audience === undefined || audience === '')
    throw new OAuthRefusal('invalid_target', 'The parameter audience is missing: it names the provider.');
  if (tenant === undefined || tenant === '')
    throw new OAuthRefusal('invalid_request', 'The parameter subject_token is missing: it names the tenant.');
  if (wanted !== undefined && wanted !== accessTokenType) {
    throw new OAuthRefusal('invalid_request', `Only ${accessTokenType} is issued.`);
  }
  const key = checkKey({ tenant, provider: audience, account: form['account'] });
  noteCaller(outgoingOf(request), { key: principal.id, tenant });
  assertMayFor(principal, 'read_token', key);
  if (context.traffic.isPressed) context.traffic.assertFair(key.tenant);
  const acting = actingFor(principal, outgoingOf(request));
  const token = await actingAs(acting, () =>
    context.vault().getAccessToken(key, minValidity(form['min_validity'])),
  ).catch((error: unknown) => Promise.reject(seenBy(principal, error)));
  const asked = form['scope']?.split(' ').filter((scope) => scope !== '') ?? [];
  const missing = asked.filter((scope) => !token.scopes.includes(scope));
  // A provider's token always has exactly the scopes of its grant.
  if (missing.length > 0) throw new OAuthRefusal('invalid_scope', 'The grant does not have every requested scope.');
  return json(200, {
    access_token: token.accessToken,
    issued_token_type: accessTokenType,
    token_type: token.tokenType,
    expires_in: secondsUntil(token.expiresAt.getTime(), context.world.now()),
    scope: token.scopes.join(' '),
    api_domain: token.apiDomain ?? null,
    generation: token.generation,
  });
}

type Form = Readonly<Record<string, string>>;

/** Identifies the client, and reads its form: after the key where HTTP Basic carries it, else as a stranger's. */
async function readClient(context: ServerContext, request: HonoContext): Promise<{ form: Form; principal: Principal }> {
  const { req } = request;
  const header = req.header('authorization');
  if (header !== undefined) {
    const principal = await authenticate(context, basicOf(header));
    const form = await readForm(req.raw, context.world);
    if (form['client_secret'] === undefined) return { form, principal };
    throw new OAuthRefusal('invalid_request', 'Use either HTTP Basic or client_secret, not both.');
  }
  const leave = context.strangers.enterForm(addressOf(request));
  try {
    const form = await readForm(req.raw, context.world);
    return { form, principal: await authenticate(context, { id: form['client_id'], key: form['client_secret'] }) };
  } finally {
    leave();
  }
}

async function authenticate(
  context: ServerContext,
  claimed: { readonly id: string | undefined; readonly key: string | undefined },
): Promise<Principal> {
  if (claimed.id === undefined || claimed.key === undefined || claimed.key === '') {
    throw new OAuthRefusal('invalid_client', 'Send the API key: its id as client_id, the key itself as client_secret.');
  }
  const principal = await context.access.authenticateKey(claimed.key);
  if (principal.id !== claimed.id)
    throw new OAuthRefusal('invalid_client', 'The client_id must be the id of this API key.');
  return principal;
}

/** Reads HTTP Basic. Both parts are form-encoded before they are joined (RFC 6749 section 2.3.1). */
function basicOf(header: string): { id: string; key: string } {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1];
  const [id, key, ...others] = Buffer.from(encoded ?? '', 'base64')
    .toString('utf8')
    .split(':');
  if (id === undefined || key === undefined || others.length > 0) {
    throw new OAuthRefusal('invalid_client', 'The Authorization header must be Basic, with the id and the API key.');
  }
  try {
    return { id: formDecode(id), key: formDecode(key) };
  } catch {
    throw new OAuthRefusal('invalid_client', 'The Authorization header has invalid percent-encoding.');
  }
}

function formDecode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

function minValidity(text: string | undefined): { minValidity: number } | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,8}$/.test(text))
    throw new OAuthRefusal('invalid_request', 'min_validity must be a whole number of seconds.');
  return { minValidity: Number(text) };
}

type OAuthErrorCode = (typeof oauthCodes)[GrantryErrorCode] | 'unsupported_grant_type';

class OAuthRefusal extends Error {
  readonly code: OAuthErrorCode;

  constructor(code: OAuthErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

function codeIn(error: unknown): string {
  return error instanceof OAuthRefusal || isGrantryError(error) ? error.code : '';
}

function refusal(context: ServerContext, error: unknown, sentHeader: boolean): Response {
  if (error instanceof OAuthRefusal) return answerRefusal(error.code, error.message, sentHeader);
  const known = knownError(context.logger, error);
  const { status, code, detail, action, retry_after } = problemOf(known);
  const description = `${detail} ${action}`;
  if (code === 'unauthorized') return answerRefusal('invalid_client', description, sentHeader);
  const body = { error: oauthCodes[code], error_description: printable(description), grantry_code: code };
  return json(status < 500 ? 400 : status, body, retryAfterHeader(retry_after));
}

/** The OAuth error for each code of ours. A new code does not compile until it has one. */
const oauthCodes = {
  invalid_request: 'invalid_request',
  unauthorized: 'invalid_client',
  forbidden: 'unauthorized_client',
  authorization_failed: 'invalid_grant',
  insufficient_scope: 'invalid_scope',
  not_found: 'invalid_target',
  grant_not_found: 'invalid_grant',
  reauthorization_required: 'invalid_grant',
  grant_quarantined: 'temporarily_unavailable',
  payload_too_large: 'invalid_request',
  rate_limited: 'temporarily_unavailable',
  integrity_failed: 'server_error',
  provider_misconfigured: 'temporarily_unavailable',
  provider_error: 'temporarily_unavailable',
  provider_throttled: 'temporarily_unavailable',
  provider_unavailable: 'temporarily_unavailable',
  refresh_uncertain: 'temporarily_unavailable',
  vault_sealed: 'temporarily_unavailable',
  storage_unavailable: 'temporarily_unavailable',
  internal: 'server_error',
} as const satisfies Record<GrantryErrorCode, string>;

function answerRefusal(error: OAuthErrorCode, description: string, sentHeader: boolean): Response {
  const isClient = error === 'invalid_client';
  const headers = isClient && sentHeader ? { 'www-authenticate': 'Basic realm="grantry"' } : {};
  return json(isClient ? 401 : 400, { error, error_description: printable(description) }, headers);
}

/** Replaces the characters that RFC 6749 section 5.2 does not allow in a description. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'");
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return responseOf({ status, body, headers: { pragma: 'no-cache', ...headers } });
}
