import type { ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';

/** Defines user tokens of GitHub Apps: a refresh ends the old refresh token and the old access token at once. */
export function github(): ProviderDefinition {
  return define({
    id: 'github',
    name: 'GitHub Apps (user tokens)',
    documentation: 'https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app',
    sources: [
      {
        url: 'https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens',
        read: '2026',
        note: 'rotation, lives, errors',
      },
    ],
    endpoints: {
      authorization: 'https://github.com/login/oauth/authorize',
      token: 'https://github.com/login/oauth/access_token',
    },
    accessToken: { lifetimeSeconds: 28_800 },
    // Six months count from each refresh, because every refresh token has its own lifetime.
    refreshToken: { rotation: 'strict', idleSeconds: 15_811_200 },
    errors: [
      { error: 'bad_refresh_token', on: 'refresh', class: 'grant_refused' },
      { error: 'bad_verification_code', on: 'exchange', class: 'grant_refused' },
      { error: 'incorrect_client_credentials', class: 'client_refused' },
      { error: 'redirect_uri_mismatch', class: 'client_refused' },
      { error: 'application_suspended', class: 'client_refused' },
      { error: 'unverified_user_email', class: 'client_refused' },
    ],
    api: {
      hosts: ['https://api.github.com'],
      defaults: {
        Accept: 'application/vnd.github+json',
        'X-GitHub-Api-Version': '2022-11-28',
        'User-Agent': 'grantry',
      },
      health: { path: '/user', name: '/login' },
    },
  });
}
