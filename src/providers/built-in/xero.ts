import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/**
 * Defines Xero: the spent refresh token works for thirty more minutes; each call names its organisation in a header.
 */
export function xero(): ProviderDefinition {
  return define({
    id: 'xero',
    name: 'Xero',
    documentation: 'https://developer.xero.com/documentation/guides/oauth2/auth-flow/',
    sources: [
      {
        url: 'https://community.xero.com/developer/discussion/105714701',
        read: '2026',
        note: 'overlap: official reply',
      },
      { url: 'https://developer.xero.com/documentation/guides/oauth2/token-types/', read: '2026', note: 'lives' },
    ],
    issuer: 'https://identity.xero.com',
    endpoints: {
      authorization: 'https://login.xero.com/identity/connect/authorize',
      token: 'https://identity.xero.com/connect/token',
      revocation: 'https://identity.xero.com/connect/revocation',
    },
    clientAuthentication: 'client_secret_basic',
    accessToken: { lifetimeSeconds: 1800 },
    refreshToken: {
      rotation: 'timed_overlap',
      overlapSeconds: 1800,
      idleSeconds: 5_184_000,
      // It removes all connections of the user to the app.
      revocationEnds: 'account',
    },
    api: {
      hosts: ['https://api.xero.com'],
      defaults: { Accept: 'application/json' },
      headers: { 'Xero-Tenant-Id': '{metadata.xero_tenant_id}' },
      invalidToken: [{ status: 401 }],
      scopeMissing: [{ status: 401, pointer: '/Detail', equals: 'AuthorizationUnsuccessful' }],
      health: {
        path: '/connections',
        name: '/0/tenantName',
        organizations: { list: '', ids: ['/tenantId'], name: '/tenantName', member: 'xero_tenant_id' },
        withoutOrganization: true,
      },
    },
  });
}
