import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/**
 * Defines Microsoft Entra ID, for accounts of any organisation. A refresh returns a new refresh token and leaves the
 * old one valid. No token is spent, so the rotation is `none`, and the newest token replaces the stored one.
 */
export function microsoft(): ProviderDefinition {
  return define({
    id: 'microsoft',
    name: 'Microsoft Entra ID',
    documentation: 'https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow',
    sources: [
      {
        url: 'https://learn.microsoft.com/entra/identity-platform/refresh-tokens',
        read: '2026',
        note: 'rotation, lives',
      },
      {
        url: 'https://learn.microsoft.com/entra/identity-platform/reference-error-codes',
        read: '2026',
        note: 'AADSTS',
      },
    ],
    endpoints: {
      authorization: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize',
      token: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
    },
    refreshToken: { rotation: 'none', idleSeconds: 7_776_000 },
    errors: [
      // Entra refuses a request that is repeated in a loop for some minutes, under `invalid_grant`.
      { description: 'AADSTS50196', class: 'throttled' },
      // An expired or wrong client secret, and an app that is not in the directory.
      { description: 'AADSTS7000222', class: 'client_refused' },
      { description: 'AADSTS7000215', class: 'client_refused' },
      { description: 'AADSTS700016', class: 'client_refused' },
      { error: 'interaction_required', on: 'refresh', class: 'grant_refused' },
      { error: 'consent_required', on: 'refresh', class: 'grant_refused' },
      { error: 'login_required', on: 'refresh', class: 'grant_refused' },
      { error: 'invalid_resource', class: 'client_refused' },
    ],
    api: {
      hosts: ['https://graph.microsoft.com'],
      invalidToken: [{ status: 401, pointer: '/error/code', equals: 'InvalidAuthenticationToken' }, { status: 401 }],
      scopeMissing: [
        { status: 403, pointer: '/error/code', equals: 'Authorization_RequestDenied' },
        { status: 403, pointer: '/error/code', equals: 'ErrorAccessDenied' },
      ],
      health: { path: '/v1.0/organization?$select=displayName', name: '/value/0/displayName', scope: 'User.Read' },
    },
  });
}
