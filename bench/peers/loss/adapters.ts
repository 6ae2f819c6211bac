import { AuthorizationCode } from 'simple-oauth2';

import type { Endpoint } from './messages.ts';

/** A row of the store that every peer is given: one SQLite file, one row per tenant. */
export interface StoredGrant {
  readonly tenant: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** What a peer does where Grantry does its own: spend a refresh token. Throws {@link RefusedError} on `invalid_grant`. */
export interface LossPeer {
  readonly name: string;
  /** A lock in the store, held for at most so long while a refresh lasts; 0 for none. */
  readonly lockMs: number;
  refresh(endpoint: Endpoint, grant: StoredGrant): Promise<Omit<StoredGrant, 'tenant'>>;
}

/** The provider said that the refresh token is no good. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

/** A lock with a time-out in the row, a POST, a save, the lock taken off: the recipe that most programs follow. */
const naiveLock: LossPeer = {
  name: 'naive-lock',
  lockMs: 10_000,
  refresh: async ({ origin, clientId, clientSecret }, grant) => {
    const body = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: grant.refreshToken,
      client_id: clientId,
      client_secret: clientSecret,
    });
    const response = await fetch(`${origin}/token`, { method: 'POST', body });
    const answer: unknown = await response.json();
    const text = (name: string): string | undefined => {
      const value: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined;
      return typeof value === 'string' ? value : undefined;
    };
    if (text('error') === 'invalid_grant') throw new RefusedError('invalid_grant');
    const accessToken = text('access_token');
    if (accessToken === undefined) throw new Error(`status ${response.status}`);
    return { accessToken, refreshToken: text('refresh_token') ?? grant.refreshToken };
  },
};

/** The library as its documentation shows it, with what it returns saved by the caller. It has no lock of its own. */
const simpleOauth2: LossPeer = {
  name: 'simple-oauth2',
  lockMs: 0,
  refresh: async ({ origin, clientId, clientSecret }, grant) => {
    const client = new AuthorizationCode({
      client: { id: clientId, secret: clientSecret },
      auth: { tokenHost: origin, tokenPath: '/token' },
    });
    const held = client.createToken({ access_token: grant.accessToken, refresh_token: grant.refreshToken });
    try {
      const { token } = await held.refresh();
      // It forgets the refresh token where the answer has none: its callers have learned to keep the old one.
      const given = token['refresh_token'];
      const refreshToken = typeof given === 'string' ? given : grant.refreshToken;
      return { accessToken: String(token['access_token']), refreshToken };
    } catch (error) {
      const data: unknown = error instanceof Error ? Reflect.get(error, 'data') : undefined;
      if (JSON.stringify(data ?? '').includes('invalid_grant'))
        throw new RefusedError('invalid_grant', { cause: error });
      throw error;
    }
  },
};

export const lossPeers: readonly LossPeer[] = [naiveLock, simpleOauth2];
