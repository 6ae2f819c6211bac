import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/** Defines QuickBooks Online: 24 hours of overlap; only the callback names the company's id. */
export function quickbooks(): ProviderDefinition {
  const accounts = 'https://oauth.platform.intuit.com';
  return define({
    id: 'quickbooks',
    name: 'QuickBooks Online',
    documentation:
      'https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0',
    sources: [
      { url: 'https://www.npmjs.com/package/intuit-oauth', read: '2026', note: 'endpoints, overlap' },
      {
        url: 'https://blogs.intuit.com/2025/11/12/important-changes-to-refresh-token-policy/',
        read: '2026',
        note: 'lives',
      },
    ],
    endpoints: {
      authorization: 'https://appcenter.intuit.com/connect/oauth2',
      token: '{dc.accounts}/oauth2/v1/tokens/bearer',
      revocation: 'https://developer.api.intuit.com/v2/oauth2/tokens/revoke',
    },
    // One authorization server with two sets of companies: development keys only see the sandbox companies.
    dataCenters: {
      production: { accounts, api: 'https://quickbooks.api.intuit.com' },
      sandbox: { accounts, api: 'https://sandbox-quickbooks.api.intuit.com' },
    },
    clientAuthentication: 'client_secret_basic',
    pkce: 'off',
    pkceReason: 'Intuit documents no PKCE for its authorization server.',
    capture: { callback: { realmId: 'realm_id' } },
    accessToken: { lifetimeSeconds: 3600 },
    refreshToken: {
      rotation: 'timed_overlap',
      overlapSeconds: 86_400,
      idleSeconds: 8_640_000,
      absoluteSeconds: 157_680_000,
      // A guess: it may end the connection of the company, which another user's grant shares.
      revocationEnds: 'account',
    },
    api: {
      hosts: ['https://quickbooks.api.intuit.com', 'https://sandbox-quickbooks.api.intuit.com'],
      base: '{dc.api}',
      defaults: { Accept: 'application/json' },
      health: {
        path: '/v3/company/{metadata.realm_id}/companyinfo/{metadata.realm_id}',
        name: '/CompanyInfo/CompanyName',
        // The answer's own id is always 1. The path names the company: an answer proves that the token is of this one.
        organizations: { list: '/CompanyInfo', ids: ['{metadata.realm_id}'], name: '/CompanyName', member: 'realm_id' },
        scope: 'com.intuit.quickbooks.accounting',
      },
    },
  });
}
