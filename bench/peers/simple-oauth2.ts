import { AuthorizationCode } from 'simple-oauth2';

import { accessTokenOf, type Contender, lifetimeSeconds, perGrant } from '../contender.ts';

/** Keeps one token object per grant, because the library stores nothing, and asks it for its expiry. */
export async function simpleOauth2(grants: number): Promise<Contender> {
  const client = new AuthorizationCode({
    client: { id: 'bench', secret: 'bench-secret' },
    auth: { tokenHost: 'https://as.example' },
  });
  const tokenFor = await perGrant(grants, (key) =>
    client.createToken({
      access_token: accessTokenOf(key),
      refresh_token: 'refresh',
      expires_at: new Date(Date.now() + lifetimeSeconds * 1000),
    }),
  );
  return {
    name: 'simple-oauth2',
    grants,
    note: 'an AccessToken per grant in a Map, expired(60), then the token',
    async token(key) {
      const held = tokenFor(key);
      const current = held.expired(60) ? await held.refresh() : held;
      return String(current.token['access_token']);
    },
  };
}
