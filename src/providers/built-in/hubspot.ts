import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/** Defines HubSpot with the dated OAuth endpoints that follow version 1, which ends in February 2027. */
export function hubspot(): ProviderDefinition {
  return define({
    id: 'hubspot',
    name: 'HubSpot',
    documentation: 'https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens',
    sources: [
      {
        url: 'https://developers.hubspot.com/docs/api-reference/latest/authentication/oauth-tokens/revoke-token',
        read: '2026-11-22',
        note: 'endpoints',
      },
      {
        url: 'https://developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide',
        read: '2026-11-22',
        note: 'lives',
      },
    ],
    endpoints: {
      authorization: 'https://app.hubspot.com/oauth/authorize',
      token: 'https://api.hubapi.com/oauth/2026-03/token',
      revocation: 'https://api.hubapi.com/oauth/2026-03/token/revoke',
    },
    accessToken: { lifetimeSeconds: 1800 },
    refreshToken: { rotation: 'none' },
    errors: [
      { error: 'BAD_REFRESH_TOKEN', on: 'refresh', class: 'grant_refused' },
      { error: 'BAD_AUTH_CODE', on: 'exchange', class: 'grant_refused' },
      { error: 'BAD_CLIENT_ID', class: 'client_refused' },
      { error: 'BAD_CLIENT_SECRET', class: 'client_refused' },
      { error: 'BAD_REDIRECT_URI', class: 'client_refused' },
    ],
    api: {
      hosts: ['https://api.hubapi.com'],
      scopeMissing: [{ status: 403, pointer: '/category', equals: 'MISSING_SCOPES' }],
      health: { path: '/account-info/v3/details', name: '/uiDomain', scope: 'oauth' },
    },
  });
}
