import { GrantryError } from '../base/errors.ts';
import { checkKey, checkName, checkProviderId, type GrantKey } from '../base/ids.ts';
import { Secret } from '../base/secret.ts';
import { toJson } from '../schemas/json.ts';
import type { AppInput, GrantFilter, TokensInput } from '../vault/types.ts';
import { segment } from './http.ts';

/** The path of a grant's routes, and its account as a query. @throws {GrantryError} `invalid_request` */
export function routeOf(key: GrantKey): { path: string; query: { account: string } } {
  const { tenant, provider, account } = checkKey(key);
  return { path: `/v1/tenants/${segment(tenant)}/grants/${segment(provider)}`, query: { account } };
}

export function appBody(app: AppInput): object {
  checkObject('app', app);
  const { clientSecrets, ...rest } = app;
  const secrets =
    clientSecrets === undefined
      ? undefined
      : Object.fromEntries(Object.entries(clientSecrets).map(([dc, secret]) => [dc, plain(secret)]));
  return { ...toJson(rest, plain), client_secrets: secrets };
}

export function tokensBody(tokens: TokensInput): object {
  checkObject('tokens', tokens);
  const { scopes, ...rest } = tokens;
  if (scopes !== undefined && !(Array.isArray(scopes) && scopes.every(isScope))) {
    throw new GrantryError('invalid_request', 'The scopes must be a list of names without white space.');
  }
  return { ...toJson(rest, plain), scope: scopes?.join(' ') };
}

/** @throws {GrantryError} `invalid_request` for names that cannot stand in a list */
export function filterQuery(filter: GrantFilter): Record<string, string | number | undefined> {
  const { tenant, tenants, provider, providers, state, updatedSince, cursor, limit } = filter;
  if (updatedSince !== undefined && !(updatedSince instanceof Date && !Number.isNaN(updatedSince.getTime()))) {
    throw new GrantryError('invalid_request', 'updatedSince must be a valid date.');
  }
  return {
    tenant,
    tenants: tenants?.map((each) => checkName('tenant', each)).join(','),
    provider,
    providers: providers?.map(checkProviderId).join(','),
    state,
    updated_since: updatedSince?.toISOString(),
    cursor,
    limit,
  };
}

/** The path and host of a proxied call. @throws {GrantryError} `invalid_request` for a path that would leave the proxy */
export function proxiedTarget(pathOrUrl: string): { path: string; host: string | undefined } {
  // A URL parser drops tabs and line breaks, so that ".\t." becomes "..", and turns a backslash into a slash.
  if (typeof pathOrUrl !== 'string' || /[\p{Cc} \\]/u.test(pathOrUrl)) {
    throw new GrantryError('invalid_request', 'The path has a space, a backslash or a control character.');
  }
  const url = URL.canParse(pathOrUrl) ? new URL(pathOrUrl) : undefined;
  const path = url === undefined ? pathOrUrl : `${url.pathname}${url.search}`;
  const bare = path.replace(/[?#].*$/s, '');
  const leaves = /(?:^|\/|\\|%2f|%5c)(?:\.|%2e){1,2}(?:$|[/\\;?#]|%2f|%5c|%3b)/i.test(bare);
  if (!bare.startsWith('/') || leaves) {
    throw new GrantryError('invalid_request', 'The path must start with a slash and must not contain "." or "..".');
  }
  return { path, host: url?.host };
}

export function checkObject(what: string, value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new GrantryError('invalid_request', `The ${what} must be an object.`);
}

function isScope(scope: unknown): boolean {
  return typeof scope === 'string' && !/\s/.test(scope);
}

/** Writes a secret into the body of a request to the server that keeps it. */
function plain(secret: string | Secret): string {
  return secret instanceof Secret ? secret.reveal() : secret;
}
