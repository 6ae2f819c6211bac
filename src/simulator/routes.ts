import { json, type SimulatorAnswer } from './http/answer.ts';
import { oauthApi } from './oauth/api.ts';
import { oauthAuthorize } from './oauth/authorize.ts';
import { oauthRevoke, oauthToken } from './oauth/token.ts';
import type { OAuthProfile } from './state/profiles.ts';
import type { Endpoint, Incoming } from './state/request.ts';
import { accountsOf, type Site } from './state/sites.ts';
import type { SimulatorState } from './state/state.ts';
import { consentPath, zohoAuthorize } from './zoho/authorize.ts';
import { serverInfo } from './zoho/callback.ts';
import { deviceCode, devicePage, devicePagePath, deviceToken } from './zoho/device.ts';
import { addExtraScope, enhancePagePath, enhanceToken } from './zoho/enhance.ts';
import { zohoProducts } from './zoho/products.ts';
import { zohoRevoke, zohoRevokeOld } from './zoho/revoke.ts';
import { zohoToken } from './zoho/token.ts';

interface Route {
  readonly endpoint: Endpoint;
  readonly handle: (state: SimulatorState, incoming: Incoming) => SimulatorAnswer;
}

const zohoRoutes: Readonly<Record<string, Route>> = {
  '/oauth/v2/auth': { endpoint: 'authorize', handle: zohoAuthorize },
  [consentPath]: { endpoint: 'authorize', handle: zohoAuthorize },
  '/oauth/v2/token': { endpoint: 'token', handle: zohoToken },
  '/oauth/v2/revoke/token': { endpoint: 'revoke', handle: zohoRevoke },
  '/oauth/v2/token/revoke': { endpoint: 'revoke', handle: zohoRevokeOld },
  '/oauth/v3/device/code': { endpoint: 'device', handle: deviceCode },
  '/oauth/v3/device/token': { endpoint: 'token', handle: deviceToken },
  [devicePagePath]: { endpoint: 'authorize', handle: devicePage },
  '/oauth/v2/token/scopeenhance': { endpoint: 'token', handle: enhanceToken },
  [enhancePagePath]: { endpoint: 'authorize', handle: addExtraScope },
  '/.well-known/openid-configuration': {
    endpoint: 'discovery',
    handle: (_state, incoming) => openidConfiguration(incoming),
  },
  '/oauth/serverinfo': {
    endpoint: 'discovery',
    handle: (state, { site }) =>
      json(200, serverInfo(state, state.zoho.for(site.dc, null)), { kind: 'api', outcome: 'ok', detail: 'serverinfo' }),
  },
};

const zohoApi: Route = { endpoint: 'api', handle: zohoProducts };

/** Finds the server's handler for a path and its kind of endpoint. */
export function routeOf(site: Site, url: URL): Route {
  if (site.oauth !== null) return oauthRoute(site.oauth, url.pathname);
  return zohoRoutes[url.pathname] ?? zohoApi;
}

function oauthRoute(profile: OAuthProfile, path: string): Route {
  const { paths } = profile;
  if (path === paths.authorization)
    return { endpoint: 'authorize', handle: (state, incoming) => oauthAuthorize(state, incoming, profile) };
  if (path === paths.token)
    return { endpoint: 'token', handle: (state, incoming) => oauthToken(state, incoming, profile) };
  if (path === paths.revocation) return { endpoint: 'revoke', handle: oauthRevoke };
  if (path.startsWith('/.well-known/'))
    return { endpoint: 'discovery', handle: (_state, incoming) => metadata(incoming, profile) };
  return { endpoint: 'api', handle: (state, incoming) => oauthApi(state, incoming, profile) };
}

/** Returns authorization server metadata (RFC 8414), for providers that are added by their issuer. */
function metadata(incoming: Incoming, profile: OAuthProfile): SimulatorAnswer {
  const at = incoming.site.origin;
  const body = {
    issuer: at,
    authorization_endpoint: at + profile.paths.authorization,
    token_endpoint: at + profile.paths.token,
    ...(profile.paths.revocation === null ? {} : { revocation_endpoint: at + profile.paths.revocation }),
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic', 'none'],
  };
  return json(200, body, { kind: 'api', outcome: 'ok', detail: 'metadata' });
}

/** Returns Zoho's discovery document, which only lists its identity scopes. */
function openidConfiguration(incoming: Incoming): SimulatorAnswer {
  const at = accountsOf(incoming.site);
  const body = {
    issuer: at,
    authorization_endpoint: `${at}/oauth/v2/auth`,
    token_endpoint: `${at}/oauth/v2/token`,
    revocation_endpoint: `${at}/oauth/v2/token/revoke`,
    userinfo_endpoint: `${at}/oauth/v2/userinfo`,
    scopes_supported: ['email', 'openid', 'phone', 'profile'],
    response_types_supported: ['code'],
  };
  return json(200, body, { kind: 'api', outcome: 'ok', detail: 'openid-configuration' });
}
