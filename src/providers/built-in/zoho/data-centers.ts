/** Hosts of each data centre below the domain of the products, by the name that a definition uses and the first labels. */
const productHosts = {
  accounts: 'accounts',
  analytics: 'analyticsapi',
  assist: 'assist',
  backstage: 'backstage',
  bugtracker: 'bugtracker',
  calendar: 'calendar',
  campaigns: 'campaigns',
  catalyst: 'api.catalyst',
  cliq: 'cliq',
  commerce: 'commerce',
  connect: 'connect',
  contracts: 'contracts',
  creator: 'creator',
  creatorapp: 'creatorapp',
  desk: 'desk',
  directory: 'directory',
  fsm: 'fsm',
  learn: 'learn',
  lens: 'lens',
  mail: 'mail',
  marketingautomation: 'marketingautomation',
  meeting: 'meeting',
  payments: 'payments',
  payroll: 'payroll',
  people: 'people',
  projects: 'projects',
  projectsapi: 'projectsapi',
  recruit: 'recruit',
  salesiq: 'salesiq',
  sheet: 'sheet',
  shifts: 'shifts',
  sign: 'sign',
  social: 'social',
  sprints: 'sprintsapi',
  tables: 'tables',
  vault: 'vault',
  voice: 'voice',
  workdrive: 'workdrive',
  workerly: 'workerly',
  zeptomail: 'zeptomail',
} as const;

/** Hosts below the domain of the gateway. Most products share `api`; the token answer calls it `api_domain`. */
const gatewayHosts = { api: 'www', sandbox: 'sandbox', developer: 'developer', content: 'content' } as const;

/** Hosts of ManageEngine, whose domains follow no rule. */
type ManageEngineHost = 'servicedesk' | 'endpointcentral' | 'site24x7';

/** Names of Zoho's hosts in `dataCenters`. */
export type ZohoHost = keyof typeof productHosts | keyof typeof gatewayHosts | ManageEngineHost;

export type ZohoDataCenter = Readonly<Partial<Record<ZohoHost, string>>>;

/**
 * Returns every Zoho data centre with its hosts, in the order in which they are tried and listed; the first is the
 * default.
 *
 * Canada's products are under `zohocloud.ca` and its gateway under `zohoapis.ca`; `zoho.ca` does not belong to Zoho.
 * Bulk files have their own host, which Canada and Saudi Arabia name differently.
 */
export function zohoDataCenters(): Record<string, ZohoDataCenter> {
  return {
    us: hosts('zoho.com', 'zohoapis.com', ['sdpondemand.manageengine.com', 'manageengine.com', 'www.site24x7.com']),
    eu: hosts('zoho.eu', 'zohoapis.eu', ['sdpondemand.manageengine.eu', 'manageengine.eu', 'www.site24x7.eu']),
    in: hosts('zoho.in', 'zohoapis.in', ['sdpondemand.manageengine.in', 'manageengine.in', 'www.site24x7.in']),
    au: hosts('zoho.com.au', 'zohoapis.com.au', [
      'servicedeskplus.net.au',
      'manageengine.com.au',
      'www.site24x7.net.au',
    ]),
    jp: hosts('zoho.jp', 'zohoapis.jp', ['servicedeskplus.jp', 'manageengine.jp', 'app.site24x7.jp']),
    ca: {
      ...hosts('zohocloud.ca', 'zohoapis.ca', ['servicedeskplus.ca', 'manageengine.ca']),
      content: 'https://upload.zohocloud.ca',
    },
    cn: hosts('zoho.com.cn', 'zohoapis.com.cn', ['servicedeskplus.cn', 'manageengine.cn', 'www.site24x7.cn']),
    sa: { ...hosts('zoho.sa', 'zohoapis.sa', ['servicedeskplus.sa']), content: 'https://files.zoho.sa' },
    uk: hosts('zoho.uk', 'zohoapis.uk', ['servicedeskplus.uk']),
    ae: hosts('zoho.ae', 'zohoapis.ae'),
    sg: hosts('zoho.sg', 'zohoapis.sg'),
  };
}

function hosts(
  products: string,
  gateway: string,
  [servicedesk, endpointcentral, site24x7]: readonly string[] = [],
): ZohoDataCenter {
  return {
    ...below(productHosts, products),
    ...below(gatewayHosts, gateway),
    ...(servicedesk === undefined ? {} : { servicedesk: `https://${servicedesk}` }),
    ...(endpointcentral === undefined ? {} : { endpointcentral: `https://endpointcentral.${endpointcentral}` }),
    ...(site24x7 === undefined ? {} : { site24x7: `https://${site24x7}` }),
  };
}

function below(labels: Readonly<Record<string, string>>, domain: string): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, label]) => [name, `https://${label}.${domain}`]));
}
