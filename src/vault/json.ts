import type { ConnectSession } from './connect/sessions.ts';
import type { AccessToken, AdoptReport, ApiKey, App, Grant, HealthReport, RecoverReport } from './types.ts';

/** A token as `--json` and the HTTP route show it. */
export function tokenItem(token: AccessToken, nowMs: number): Record<string, unknown> {
  return {
    access_token: token.accessToken,
    token_type: token.tokenType,
    expires_at: token.expiresAt.toISOString(),
    expires_in: Math.max(0, Math.floor((token.expiresAt.getTime() - nowMs) / 1000)),
    scope: token.scopes.join(' '),
    api_domain: token.apiDomain ?? null,
    generation: token.generation,
  };
}

/** A grant as `--json` and the HTTP routes show it. */
export function grantItem(grant: Grant): Record<string, unknown> {
  return {
    tenant: grant.tenant,
    provider: grant.provider,
    account: grant.account,
    app: grant.app,
    state: grant.state,
    reason: grant.reason,
    generation: grant.generation,
    scopes: grant.scopes,
    dc: grant.dc,
    api_domain: grant.apiDomain,
    metadata: grant.metadata,
    expires_at: iso(grant.expiresAt),
    last_refreshed_at: iso(grant.lastRefreshedAt),
    created_at: iso(grant.createdAt),
    updated_at: iso(grant.updatedAt),
  };
}

/** An app as `--json` and the HTTP routes show it. */
export function appItem(app: App): Record<string, unknown> {
  return {
    name: app.name,
    provider: app.provider,
    client_id: app.clientId,
    dc: app.dc,
    redirect_uri: app.redirectUri,
    scopes: app.scopes,
    tenants: app.tenants,
    return_to: app.returnTo,
    secrets: app.secrets,
  };
}

/** A health report as `--json` and the HTTP route show it. */
export function healthItem(report: HealthReport): Record<string, unknown> {
  const subject = { tenant: report.tenant, provider: report.provider, account: report.account };
  if (report.status === 'healthy') {
    return {
      status: report.status,
      ...subject,
      org_name: report.orgName,
      dc: report.dc,
      token_fingerprint: report.tokenFingerprint,
      ...(report.missingScope === undefined ? {} : { missing_scope: report.missingScope }),
    };
  }
  return {
    status: report.status,
    ...subject,
    dc: report.dc,
    error: report.error,
    message: report.message,
    action: report.action,
    action_required: report.actionRequired,
  };
}

/** A report of a recovery as `--json` shows it. */
export function recoverItem(report: RecoverReport): Record<string, unknown> {
  const { tenant, provider, account, outcome, tried, error } = report;
  return { tenant, provider, account, outcome, tried, ...(error === undefined ? {} : { error }) };
}

/** A report of an adoption as `--json` shows it. */
export function adoptItem(report: AdoptReport): Record<string, unknown> {
  const { tenant, provider, account, outcome, error } = report;
  return { tenant, provider, account, outcome, ...(error === undefined ? {} : { error }) };
}

/** An API key as `--json` and the HTTP routes show it; never the key itself. */
export function apiKeyItem(key: ApiKey): Record<string, unknown> {
  return {
    id: key.id,
    name: key.name,
    role: key.role,
    tenants: key.tenants,
    providers: key.providers,
    created_at: iso(key.createdAt),
    expires_at: iso(key.expiresAt),
    last_used_at: iso(key.lastUsedAt),
  };
}

/** A connect session as the HTTP routes show it: neither its link nor its code. */
export function connectSessionItem(session: ConnectSession): Record<string, unknown> {
  return {
    id: session.id,
    tenant: session.tenant,
    provider: session.provider,
    account: session.account,
    app: session.app,
    scopes: session.scopes,
    return_to: session.returnTo,
    user: session.user,
    state: session.state,
    error: session.error,
    granted_scopes: session.granted?.scopes ?? null,
    narrower: session.granted?.narrower ?? null,
    wider: session.granted?.wider ?? null,
    created_at: iso(session.createdAt),
    expires_at: iso(session.expiresAt),
    completed_at: iso(session.completedAt),
  };
}

function iso(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
