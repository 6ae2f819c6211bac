import { Secret } from '../../src/base/secret.ts';
import type { NewAuthorization } from '../../src/vault/grant/put/new-authorization.ts';

/** The answer to a code. */
export function newConsent(app: string, refreshToken: string, more: Partial<NewAuthorization> = {}): NewAuthorization {
  return {
    app,
    accessToken: null,
    refreshToken: new Secret(refreshToken),
    tokenType: null,
    expiresAtMs: null,
    scopes: ['read'],
    metadata: {},
    event: 'grant.connected',
    account: {},
    ...more,
  };
}
