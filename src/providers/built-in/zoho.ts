import type { ErrorRule, ProviderDefinition } from '../definition.ts';
import { define } from './define.ts';
import { type ZohoDataCenter, type ZohoHost, zohoDataCenters } from './zoho-data-centers.ts';
import {
  crmEnvironments,
  crmHealth,
  crmOwner,
  crmScopeMissing,
  financeInvalidToken,
  financeScopeMissing,
  type ZohoProduct,
  zohoProducts,
} from './zoho-products.ts';

/** Ids of all Zoho providers: `zoho`, for one grant that serves several products, and `zoho_` + product. */
export const zohoIds: readonly string[] = ['zoho', ...Object.keys(zohoProducts).map((product) => `zoho_${product}`)];

/** Returns the definition of one of {@link zohoIds}. */
export function zoho(id: string): ProviderDefinition {
  const product = id === 'zoho' ? severalProducts() : zohoProducts[id.slice('zoho_'.length)];
  if (product === undefined) throw new RangeError(`not a Zoho id: ${id}`);
  const dataCenters = centersFor(product);
  return define({
    id,
    name: product.name,
    documentation: product.documentation,
    sources: [...sources, ...(product.sources ?? [])],
    endpoints: {
      authorization: '{dc.accounts}/oauth/v2/auth',
      token: '{dc.accounts}/oauth/v2/token',
      revocation: '{dc.accounts}/oauth/v2/revoke/token',
      revocationLegacy: '{dc.accounts}/oauth/v2/token/revoke',
    },
    dataCenters,
    ...(product.environments === undefined ? {} : { environments: product.environments }),
    // China's accounts server is operated by another company, which keeps its own list of clients.
    separateDataCenters: ['cn'],
    callback: { dataCenter: 'location', accountsServer: 'accounts-server' },
    capture: { token: { api_domain: 'api_domain' } },
    ...(product.scopePrefix === '' ? {} : { scopePrefix: product.scopePrefix }),
    scopeSeparator: ',',
    scopeMatching: 'dotted',
    // Without both, a user who has consented before gets no refresh token.
    authorizationParameters: { access_type: 'offline', prompt: 'consent' },
    accessToken: { lifetimeSeconds: 3600, scheme: 'Zoho-oauthtoken', earlyRefreshSeconds: 600 },
    refreshToken: { rotation: 'none', livePerUserAndClient: 20 },
    tokenLimit: { requests: 10, windowSeconds: 600 },
    errors: [...errors],
    api: {
      hosts: hostsOf(product, dataCenters),
      base: `{dc.${product.base}}`,
      defaults: { ...product.defaults },
      ...(product.organization === undefined ? {} : { organization: product.organization }),
      invalidToken: [...(product.invalidToken ?? [{ status: 401 }])],
      scopeMissing: [...(product.scopeMissing ?? [])],
      health: product.health,
      owner: [...(product.owner === undefined ? [] : [product.owner]), accountsOwner],
    },
  });
}

/** The accounts server tells the user of each token that may read its profile. */
const accountsOwner = {
  path: '{dc.accounts}/oauth/user/info',
  id: '/ZUID',
  name: '/Display_Name',
  scope: 'AaaServer.profile.READ',
};

/**
 * Errors of the token endpoint; most arrive with status 200.
 *
 * The throttle stands first: its text identifies it better than its `error`.
 */
const errors: readonly ErrorRule[] = [
  { description: 'too many requests', class: 'throttled' },
  { description: 'token creation throttle limit', class: 'throttled' },
  { error: 'Access Denied', class: 'throttled' },
  { error: 'access_denied', on: 'exchange', class: 'throttled' },
  { error: 'invalid_code', on: 'refresh', class: 'grant_refused' },
  { error: 'invalid_code', on: 'exchange', class: 'grant_refused' },
  { error: 'invalid_code', on: 'revoke', class: 'grant_refused' },
  { error: 'invalid_token', on: 'revoke', class: 'grant_refused' },
  { error: 'invalid_client', class: 'client_refused' },
  { error: 'invalid_client_secret', class: 'client_refused' },
  { error: 'invalid_redirect_uri', class: 'client_refused' },
  { error: 'invalid_request', class: 'client_refused' },
  { error: 'missing_org_info', class: 'client_refused' },
  { error: 'invalid_soid', class: 'client_refused' },
  { error: 'invalid_org', class: 'client_refused' },
  { error: 'invalid_scope', class: 'scope_refused' },
  { error: 'invalid_scopes', class: 'scope_refused' },
  { error: 'general_error', class: 'unavailable' },
];

const sources = [
  { url: 'https://www.zoho.com/accounts/protocol/oauth/multi-dc.html', read: '2026', note: 'data centres' },
  { url: 'https://www.zoho.com/accounts/protocol/oauth/token-limits.html', read: '2026', note: 'limits' },
  { url: 'https://www.zoho.com/accounts/protocol/oauth/revoke-refresh-token.html', read: '2026', note: 'revoke' },
];

/**
 * Describes one grant with the scopes of several products. The gateway is the default host; other hosts are called by
 * absolute URL. No organisation id is sent, because each product expects it in another place.
 */
function severalProducts(): ZohoProduct {
  const hosts = Object.values(zohoProducts).flatMap((product) => [product.base, ...(product.hosts ?? [])]);
  return {
    name: 'Zoho (several products)',
    documentation: 'https://www.zoho.com/accounts/protocol/oauth.html',
    scopePrefix: '',
    base: 'api',
    hosts,
    invalidToken: [
      { status: 401 },
      { status: 400, pointer: '/code', equals: 'INVALID_TOKEN' },
      { status: 400, pointer: '/data/errorCode', equals: 'INVALID_TICKET' },
      // A finance product's 401 with code 57 triggers a refresh, although it may mean a missing scope.
      ...financeInvalidToken.filter((rule) => rule.equals !== undefined),
    ],
    scopeMissing: [
      ...crmScopeMissing,
      ...financeScopeMissing,
      { pointer: '/code', equals: 2945 },
      { pointer: '/errorCode', equals: 'SCOPE_MISMATCH' },
      { pointer: '/data/errorCode', equals: 8540 },
      { pointer: '/data/errorCode', equals: 'INVALID_OAUTHSCOPE' },
      { pointer: '/error/title', equals: 'INVALID_OAUTHSCOPE' },
    ],
    environments: crmEnvironments,
    owner: crmOwner,
    health: crmHealth('/crm/v8/org', 'ZohoCRM.org.READ'),
  };
}

/** Returns each data centre with this product's hosts: its own, the accounts server and the gateway. */
function centersFor(product: ZohoProduct): Record<string, Record<string, string>> {
  const names = new Set<ZohoHost>(['accounts', 'api', product.base, ...(product.hosts ?? [])]);
  const centers = Object.entries(zohoDataCenters()).map(([dc, hosts]) => [dc, pick(hosts, names)] as const);
  return Object.fromEntries(centers);
}

function pick(hosts: ZohoDataCenter, names: ReadonlySet<ZohoHost>): Record<string, string> {
  return Object.fromEntries([...names].map((name) => [name, hosts[name]] as const));
}

/** Only products on the gateway list it as a host: a token for Desk must not go there. */
function hostsOf(product: ZohoProduct, dataCenters: Record<string, Record<string, string>>): string[] {
  const names = [...new Set<string>([product.base, ...(product.hosts ?? [])])];
  return Object.values(dataCenters).flatMap((hosts) => names.flatMap((name) => hosts[name] ?? []));
}
