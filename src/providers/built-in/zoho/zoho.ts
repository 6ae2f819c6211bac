import type {
  AnswerRule,
  Confidence,
  ErrorRule,
  FactGroup,
  ProductRules,
  ProviderDefinition,
} from '../../definition.ts';
import { define } from '../define.ts';
import { type ZohoDataCenter, type ZohoHost, zohoDataCenters } from './data-centers.ts';
import { factGroups, groupsIn, source, type ZohoProduct } from './product.ts';
import { crmEnvironments, crmHealth, crmOwner } from './products/crm.ts';
import { zohoProducts } from './products.ts';

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
    sources: [...sources, ...product.sources],
    facts: factsOf(product),
    ...(product.limits === undefined ? {} : { limits: [...product.limits] }),
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
    // Documented (see the sources) and not tried against Zoho itself.
    scopeEnhancement: {
      request: {
        url: '{dc.accounts}/oauth/v2/token/scopeenhance',
        parameters: { grant_type: 'update_scopes_token' },
        token: '/access_token',
      },
      browser: {
        url: '{dc.accounts}/oauth/v2/token/addextrascope',
        parameters: { response_type: 'update_scopes', logout: 'false' },
        token: 'enhance_token',
      },
    },
    scopeSeparator: ',',
    scopeMatching: 'dotted',
    // Without both, a user who has consented before gets no refresh token.
    authorizationParameters: { access_type: 'offline', prompt: 'consent' },
    accessToken: { lifetimeSeconds: 3600, scheme: 'Zoho-oauthtoken', earlyRefreshSeconds: 600 },
    refreshToken: { rotation: 'none', livePerUserAndClient: 20 },
    tokenLimit: { requests: 10, windowSeconds: 600 },
    errors: [...errors],
    ...(id === 'zoho' ? { products: Object.entries(zohoProducts).flatMap(([name, each]) => rulesOf(name, each)) } : {}),
    api: {
      hosts: hostsOf(product, dataCenters),
      base: `{dc.${product.base}}`,
      defaults: { ...product.defaults },
      ...(product.organization === undefined ? {} : { organization: product.organization }),
      invalidToken: [...(product.invalidToken ?? everyRefusal)],
      scopeMissing: [...(product.scopeMissing ?? [])],
      ...(product.health === undefined ? {} : { health: product.health }),
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

/** A product's rules, for the grant that serves several: once for its own host, and once for the gateway. */
function rulesOf(name: string, product: ZohoProduct): ProductRules[] {
  const { base, hosts = [], paths, gatewayPaths = [], defaults, organization, invalidToken, scopeMissing } = product;
  // On these roots several products have their calls: a path that none of them claims belongs to none.
  const roots = paths.flatMap((path) => /^\/api\/v[\d.]+(?=\/)/.exec(path)?.[0] ?? []);
  const rules = {
    id: `zoho_${name}`,
    ...(defaults === undefined ? {} : { defaults: { ...defaults } }),
    ...(organization === undefined ? {} : { organization }),
    ...(product.environments === undefined ? {} : { environments: true as const }),
    invalidToken: [...(invalidToken ?? everyRefusal)],
    ...(scopeMissing === undefined ? {} : { scopeMissing: [...scopeMissing] }),
  };
  const own = [base, ...hosts].map((host) => `{dc.${host}}`);
  const onGateway = { ...rules, hosts: ['{dc.api}'], paths: [...gatewayPaths] };
  return [
    { ...rules, hosts: own, paths: [...new Set([...paths, ...roots])] },
    ...(gatewayPaths.length === 0 ? [] : [onGateway]),
  ];
}

/** The confidence in the facts of a product; those that are not marked are documented. */
export function factsOf({ reported = '', guess = '' }: ZohoProduct): Record<FactGroup, Confidence> {
  const marks = new Map<FactGroup, Confidence>(factGroups.map((group) => [group, 'documented']));
  for (const group of groupsIn(reported)) marks.set(group, 'reported');
  for (const group of groupsIn(guess)) marks.set(group, 'guess');
  const of = (group: FactGroup): Confidence => marks.get(group) ?? 'guess';
  return {
    hosts: of('hosts'),
    scopes: of('scopes'),
    organization: of('organization'),
    invalidToken: of('invalidToken'),
    scopeMissing: of('scopeMissing'),
    health: of('health'),
    limits: of('limits'),
  };
}

const everyRefusal: readonly AnswerRule[] = [{ status: 401 }];

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

const accounts = 'https://www.zoho.com/accounts/protocol/oauth';
const sources = [
  source(`${accounts}/multi-dc.html`, 'data centres', '', '2026'),
  source(`${accounts}/token-limits.html`, 'limits of tokens', 'limits', '2026'),
  source(`${accounts}/revoke-refresh-token.html`, 'revoke', '', '2026'),
  source(`${accounts}/incremental-auth/initiation-request.html`, 'more scopes for a refresh token', '', '2026-11'),
];

/**
 * Describes one grant with the scopes of several products. Host and path of a call choose the product, and with it the place
 * of the organisation, the meaning of a refusal, and the host of a path. The rules here are for calls of no known product.
 */
function severalProducts(): ZohoProduct {
  const products = Object.values(zohoProducts);
  return {
    name: 'Zoho (several products)',
    documentation: 'https://www.zoho.com/accounts/protocol/oauth.html',
    scopePrefix: '',
    base: 'api',
    hosts: products.flatMap((product) => [product.base, ...(product.hosts ?? [])]),
    paths: [],
    invalidToken: [
      ...everyRefusal,
      // Several products use the same code for a bad token and a missing scope: a refresh comes first.
      ...distinct(products.flatMap((product) => product.invalidToken ?? []).filter(namesCode)),
    ],
    scopeMissing: distinct(products.flatMap((product) => product.scopeMissing ?? [])),
    environments: crmEnvironments,
    owner: crmOwner,
    health: crmHealth('/crm/v8/org', 'ZohoCRM.org.READ'),
    sources: [source(`${accounts}/scope.html`, 'scopes of several products in one grant', 'scopes')],
    guess: 'hosts organization invalidToken scopeMissing health',
  };
}

function namesCode({ pointer, absent }: AnswerRule): boolean {
  return pointer !== undefined && absent !== true;
}

function distinct(rules: readonly AnswerRule[]): AnswerRule[] {
  return [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
}

/**
 * Returns the data centres of a product with its hosts: its own, the accounts server and the gateway. ManageEngine is not in
 * all of them.
 */
function centersFor(product: ZohoProduct): Record<string, Record<string, string>> {
  const names = new Set<ZohoHost>(['accounts', 'api', product.base, ...(product.hosts ?? [])]);
  const centers = Object.entries(zohoDataCenters()).filter(([, hosts]) => hosts[product.base] !== undefined);
  return Object.fromEntries(centers.map(([dc, hosts]) => [dc, pick(hosts, names)] as const));
}

function pick(hosts: ZohoDataCenter, names: ReadonlySet<ZohoHost>): Record<string, string> {
  return Object.fromEntries([...names].flatMap((name) => (hosts[name] === undefined ? [] : [[name, hosts[name]]])));
}

/** Only products on the gateway list it as a host: a token for Desk must not go there. */
function hostsOf(product: ZohoProduct, dataCenters: Record<string, Record<string, string>>): string[] {
  const names = [...new Set<string>([product.base, ...(product.hosts ?? [])])];
  return Object.values(dataCenters).flatMap((hosts) => names.flatMap((name) => hosts[name] ?? []));
}
