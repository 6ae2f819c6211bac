import { zohoDataCenters as definedDataCenters } from '../../providers/built-in/zoho/data-centers.ts';

/** A data centre that no built-in table knows, as Zoho might open one. */
export interface NewDataCenter {
  readonly dc: string;
  readonly accounts: string;
  readonly api: string;
}

/** Addresses of one of Zoho's data centres. */
export interface ZohoDataCenter {
  readonly accounts: string;
  readonly api: string;
  /** Products with their own host, by the host's first label. */
  readonly hosts: Readonly<Record<string, string>>;
}

const productHosts =
  'desk mail calendar recruit projects projectsapi analyticsapi campaigns cliq workdrive people sign creator api.catalyst';

/** Hosts of the definitions that are repeated here under other names. */
const repeated = new Set(['accounts', 'api', 'analytics', 'catalyst']);

/**
 * All data centres. Repeats the provider definitions on purpose: a twin that read its addresses from the table under
 * test could not contradict it. Products that the simulator knows only by their definitions have their hosts from there.
 */
export const zohoDataCenters: Readonly<Record<string, ZohoDataCenter>> = {
  us: dataCenter('us', 'zoho.com', 'zohoapis.com'),
  eu: dataCenter('eu', 'zoho.eu', 'zohoapis.eu'),
  in: dataCenter('in', 'zoho.in', 'zohoapis.in'),
  au: dataCenter('au', 'zoho.com.au', 'zohoapis.com.au'),
  jp: dataCenter('jp', 'zoho.jp', 'zohoapis.jp'),
  // Canada is irregular: its accounts and products are on zohocloud.ca, its gateway on zohoapis.ca.
  ca: dataCenter('ca', 'zohocloud.ca', 'zohoapis.ca', { content: 'https://upload.zohocloud.ca' }),
  cn: dataCenter('cn', 'zoho.com.cn', 'zohoapis.com.cn'),
  sa: dataCenter('sa', 'zoho.sa', 'zohoapis.sa', { content: 'https://files.zoho.sa' }),
  uk: dataCenter('uk', 'zoho.uk', 'zohoapis.uk'),
  ae: dataCenter('ae', 'zoho.ae', 'zohoapis.ae'),
  sg: dataCenter('sg', 'zoho.sg', 'zohoapis.sg'),
};

function dataCenter(dc: string, domain: string, apiDomain: string, odd: Record<string, string> = {}): ZohoDataCenter {
  return {
    accounts: `https://accounts.${domain}`,
    api: `https://www.${apiDomain}`,
    hosts: {
      ...definedHosts(dc),
      ...Object.fromEntries(productHosts.split(' ').map((label) => [label, `https://${label}.${domain}`])),
      ...Object.fromEntries(
        ['sandbox', 'developer', 'content'].map((label) => [label, `https://${label}.${apiDomain}`]),
      ),
      ...odd,
    },
  };
}

function definedHosts(dc: string): Record<string, string> {
  return Object.fromEntries(Object.entries(definedDataCenters()[dc] ?? {}).filter(([name]) => !repeated.has(name)));
}
