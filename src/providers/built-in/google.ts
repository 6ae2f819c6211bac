import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/**
 * Defines Google: no rotation, but at most a hundred live refresh tokens per account and client, each dead after six
 * idle months.
 */
export function google(): ProviderDefinition {
  return define({
    id: 'google',
    name: 'Google',
    documentation: 'https://developers.google.com/identity/protocols/oauth2/web-server',
    sources: [
      {
        url: 'https://developers.google.com/identity/protocols/oauth2',
        read: '2026',
        note: 'lives and slots, as quoted',
      },
    ],
    issuer: 'https://accounts.google.com',
    endpoints: {
      authorization: 'https://accounts.google.com/o/oauth2/v2/auth',
      token: 'https://oauth2.googleapis.com/token',
      revocation: 'https://oauth2.googleapis.com/revoke',
    },
    // A refresh token only comes with an offline consent, and a further one only when the consent is requested again.
    authorizationParameters: { access_type: 'offline', prompt: 'consent' },
    refreshToken: {
      rotation: 'none',
      idleSeconds: 15_552_000,
      livePerUserAndClient: 100,
      revocationEnds: 'account',
    },
    errors: [
      { error: 'redirect_uri_mismatch', class: 'client_refused' },
      { error: 'deleted_client', class: 'client_refused' },
      { error: 'disabled_client', class: 'client_refused' },
      { error: 'org_internal', class: 'client_refused' },
      { error: 'admin_policy_enforced', class: 'client_refused' },
      { error: 'internal_failure', class: 'unavailable' },
      { error: 'rate_limit_exceeded', class: 'throttled' },
      { error: 'invalid_token', on: 'revoke', class: 'grant_refused' },
    ],
    api: {
      hosts: ['https://www.googleapis.com', 'https://*.googleapis.com'],
      scopeMissing: [
        { status: 403, pointer: '/error/details/0/reason', equals: 'ACCESS_TOKEN_SCOPE_INSUFFICIENT' },
        { status: 403, pointer: '/error/errors/0/reason', equals: 'insufficientPermissions' },
      ],
      health: { path: '/oauth2/v3/userinfo', name: '/hd', scope: 'openid' },
    },
  });
}
