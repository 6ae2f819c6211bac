import { type LossPeer, RefusedError } from './peer.ts';

/** Lifetime of the row's lock when no process releases it. */
const lockMs = 10_000;

/** A lock with a time-out in the row, a POST, a save, then the release: the recipe of most programs. */
export const naiveLock: LossPeer = {
  open: async (store, { origin, clientId, clientSecret }) => {
    return async (tenant, spending) => {
      if (!store.lock(tenant, lockMs)) return;
      try {
        const grant = store.read(tenant);
        if (grant === undefined) throw new RefusedError('no grant');
        const body = new URLSearchParams({
          grant_type: 'refresh_token',
          refresh_token: grant.refreshToken,
          client_id: clientId,
          client_secret: clientSecret,
        });
        spending();
        const response = await fetch(`${origin}/token`, { method: 'POST', body });
        const answer: unknown = await response.json();
        const text = (name: string): string | undefined => {
          const value: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined;
          return typeof value === 'string' ? value : undefined;
        };
        if (text('error') === 'invalid_grant') throw new RefusedError('invalid_grant');
        const accessToken = text('access_token');
        if (accessToken === undefined) throw new Error(`status ${response.status}`);
        store.save({ tenant, accessToken, refreshToken: text('refresh_token') ?? grant.refreshToken });
      } finally {
        store.unlock(tenant);
      }
    };
  },
};
