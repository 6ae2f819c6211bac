import type { z } from 'zod';
import type { GrantKey } from '../base/ids.ts';
import type { adoptSchema, appSchema, grantSchema, healthSchema, keySchema, tokenSchema } from '../server/schemas.ts';
import type { AccessToken, AdoptReport, ApiKey, App, Grant, HealthReport } from '../vault/types.ts';

/** The items of a server's answers, in the library's words. */
export function grantOf(item: z.infer<typeof grantSchema>): Grant {
  return {
    // A row's own id never leaves the server.
    id: '',
    tenant: item.tenant,
    provider: item.provider,
    account: item.account,
    app: item.app,
    state: item.state,
    reason: item.reason,
    generation: item.generation,
    scopes: item.scopes,
    dc: item.dc,
    apiDomain: item.api_domain,
    metadata: item.metadata,
    expiresAt: date(item.expires_at),
    lastRefreshedAt: date(item.last_refreshed_at),
    createdAt: new Date(item.created_at),
    updatedAt: new Date(item.updated_at),
  };
}

export function tokenOf(item: z.infer<typeof tokenSchema>): AccessToken {
  return {
    accessToken: item.access_token,
    tokenType: item.token_type,
    expiresAt: new Date(item.expires_at),
    scopes: item.scope === '' ? [] : item.scope.split(' '),
    ...(item.api_domain === null ? {} : { apiDomain: item.api_domain }),
    generation: item.generation,
  };
}

export function appOf(item: z.infer<typeof appSchema>): App {
  return {
    name: item.name,
    provider: item.provider,
    clientId: item.client_id,
    dc: item.dc,
    redirectUri: item.redirect_uri,
    scopes: item.scopes,
    tenants: item.tenants,
    returnTo: item.return_to,
    secrets: item.secrets,
    context: '',
  };
}

export function keyOf(item: z.infer<typeof keySchema>): ApiKey {
  return {
    id: item.id,
    name: item.name,
    role: item.role,
    tenants: item.tenants,
    providers: item.providers,
    createdAt: new Date(item.created_at),
    expiresAt: date(item.expires_at),
    lastUsedAt: date(item.last_used_at),
  };
}

export function healthOf(item: z.infer<typeof healthSchema>): HealthReport {
  const { tenant, provider, account, dc } = item;
  if (item.status === 'healthy') {
    return {
      status: 'healthy',
      tenant,
      provider,
      account,
      dc,
      orgName: item.org_name ?? null,
      ...(item.missing_scope === undefined ? {} : { missingScope: item.missing_scope }),
      tokenFingerprint: item.token_fingerprint ?? '',
    };
  }
  const { error = 'internal', message = '', action = '' } = item;
  const actionRequired = item.action_required === true;
  return { status: 'unhealthy', tenant, provider, account, dc, error, message, action, actionRequired };
}

export function adoptReportOf(item: z.infer<typeof adoptSchema>['items'][number]): AdoptReport {
  const { tenant, provider, account, outcome, error } = item;
  return { tenant, provider, account, outcome, ...(error === undefined ? {} : { error }) };
}

/** The path of a grant's routes, and its account as a query. */
export function placeOf(key: GrantKey): { path: string; query: { account: string | undefined } } {
  const path = `/v1/tenants/${encodeURIComponent(key.tenant)}/grants/${encodeURIComponent(key.provider)}`;
  return { path, query: { account: key.account } };
}

function date(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
