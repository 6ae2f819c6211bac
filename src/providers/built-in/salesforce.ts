import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/**
 * Defines Salesforce: each customer has a host, which the token answer names. With rotation switched on, a replay
 * revokes everything. With rotation off, the strict rules cost nothing.
 */
export function salesforce(): ProviderDefinition {
  return define({
    id: 'salesforce',
    name: 'Salesforce',
    documentation: 'https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_refresh_token_flow.htm',
    sources: [
      { url: 'https://help.salesforce.com/s/articleView?id=005316711', read: '2026-11-22', note: 'rotation, replay' },
      { url: 'https://scalefirst.dev/?p=4616', read: '2026-11-22', note: 'idle life of 30 days for packaged apps' },
      {
        url: 'https://www.nango.dev/blog/salesforce-oauth-refresh-token-invalid-grant',
        read: '2026-11-22',
        note: 'five live tokens per user and app',
      },
    ],
    endpoints: {
      authorization: '{dc.accounts}/services/oauth2/authorize',
      token: '{dc.accounts}/services/oauth2/token',
      revocation: '{dc.accounts}/services/oauth2/revoke',
    },
    dataCenters: {
      production: { accounts: 'https://login.salesforce.com' },
      sandbox: { accounts: 'https://test.salesforce.com' },
    },
    capture: { token: { instance_url: 'api_domain' } },
    // The answer has no `expires_in`; this is the default session time-out of an organisation.
    accessToken: { lifetimeSeconds: 7200 },
    refreshToken: {
      rotation: 'strict',
      reuse: 'revokes_family',
      replayAfterLoss: false,
      idleSeconds: 2_592_000,
      livePerUserAndClient: 5,
    },
    errors: [
      { description: 'ip restricted', class: 'client_refused' },
      { error: 'invalid_client_id', class: 'client_refused' },
      { error: 'invalid_client_credentials', class: 'client_refused' },
      { error: 'inactive_user', on: 'refresh', class: 'grant_refused' },
      { error: 'inactive_org', on: 'refresh', class: 'grant_refused' },
      { error: 'rate_limit_exceeded', class: 'throttled' },
      { error: 'invalid_token', on: 'revoke', class: 'grant_refused' },
    ],
    api: {
      hosts: ['https://*.my.salesforce.com'],
      health: {
        path: '/services/data/v62.0/query?q=SELECT+Id,Name+FROM+Organization+LIMIT+1',
        name: '/records/0/Name',
        scope: 'api',
        organizations: { list: '/records', ids: ['/Id'], name: '/Name' },
      },
      owner: [{ path: '/services/oauth2/userinfo', id: '/user_id', name: '/name', scope: 'api' }],
    },
  });
}
