import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/**
 * Defines RingCentral: the spent refresh token returns the same pair again until the new access token is first used.
 */
export function ringcentral(): ProviderDefinition {
  return define({
    id: 'ringcentral',
    name: 'RingCentral',
    documentation: 'https://developers.ringcentral.com/guide/authentication/tokens',
    sources: [
      { url: 'https://developers.ringcentral.com/guide/authentication/tokens', read: '2026-11-22', note: 'slots' },
      {
        url: 'https://github.com/tylerlong/ringcentral-token-refresh-experiment',
        read: '2026',
        note: 'rotation, measured by a third party',
      },
    ],
    endpoints: {
      authorization: '{dc.accounts}/restapi/oauth/authorize',
      token: '{dc.accounts}/restapi/oauth/token',
      revocation: '{dc.accounts}/restapi/oauth/revoke',
    },
    dataCenters: {
      production: { accounts: 'https://platform.ringcentral.com', api: 'https://platform.ringcentral.com' },
      sandbox: {
        accounts: 'https://platform.devtest.ringcentral.com',
        api: 'https://platform.devtest.ringcentral.com',
      },
    },
    clientAuthentication: 'client_secret_basic',
    pkce: 'off',
    pkceReason: 'RingCentral documents PKCE as a flow of its own, for apps without a secret.',
    capture: { token: { owner_id: 'owner_id' } },
    accessToken: { lifetimeSeconds: 3600 },
    refreshToken: { rotation: 'retire_on_use', idleSeconds: 604_800, livePerUserAndClient: 5 },
    errors: [{ error: 'OAU-213', on: 'refresh', class: 'grant_refused' }],
    api: {
      hosts: ['https://platform.ringcentral.com', 'https://platform.devtest.ringcentral.com'],
      base: '{dc.api}',
      health: { path: '/restapi/v1.0/account/~/extension/~', name: '/contact/company', scope: 'ReadAccounts' },
    },
  });
}
