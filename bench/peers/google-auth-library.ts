import { OAuth2Client } from 'google-auth-library';

import { accessTokenOf, type Contender, lifetimeSeconds, perGrant } from '../contender.ts';

/** Creates one client object per grant, because a client holds one user's credentials. */
export async function googleAuthLibrary(grants: number): Promise<Contender> {
  const clientFor = await perGrant(grants, (key) => {
    const client = new OAuth2Client({ clientId: 'bench', clientSecret: 'bench-secret' });
    client.setCredentials({
      access_token: accessTokenOf(key),
      refresh_token: 'refresh',
      expiry_date: Date.now() + lifetimeSeconds * 1000,
    });
    return client;
  });
  return {
    name: 'google-auth-library',
    grants,
    note: 'an OAuth2Client per grant in a Map, getAccessToken()',
    async token(key) {
      const { token } = await clientFor(key).getAccessToken();
      return token ?? '';
    },
  };
}
