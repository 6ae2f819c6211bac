import { AuthorizationCode } from 'simple-oauth2';

import { type LossPeer, RefusedError } from './peer.ts';

/** The library as its documentation shows it; the caller saves its result. It has no lock. */
export const simpleOauth2: LossPeer = {
  open: async (store, { origin, clientId, clientSecret }) => {
    const client = new AuthorizationCode({
      client: { id: clientId, secret: clientSecret },
      auth: { tokenHost: origin, tokenPath: '/token' },
    });
    return async (tenant, spending) => {
      const grant = store.read(tenant);
      if (grant === undefined) throw new RefusedError('no grant');
      const held = client.createToken({ access_token: grant.accessToken, refresh_token: grant.refreshToken });
      spending();
      try {
        const { token } = await held.refresh();
        // It forgets the refresh token when the answer has none, so its callers keep the old one.
        const given = token['refresh_token'];
        const refreshToken = typeof given === 'string' ? given : grant.refreshToken;
        store.save({ tenant, accessToken: String(token['access_token']), refreshToken });
      } catch (error) {
        const data: unknown = error instanceof Error ? Reflect.get(error, 'data') : undefined;
        if (JSON.stringify(data ?? '').includes('invalid_grant'))
          throw new RefusedError('invalid_grant', { cause: error });
        throw error;
      }
    };
  },
};
