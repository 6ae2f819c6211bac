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

/**
 * All data centres. Repeats the provider definitions on purpose: a twin that read its addresses from the table under
 * test could not contradict it.
 */
export const zohoDataCenters: Readonly<Record<string, ZohoDataCenter>> = {
  us: dataCenter('zoho.com', 'zohoapis.com'),
  eu: dataCenter('zoho.eu', 'zohoapis.eu'),
  in: dataCenter('zoho.in', 'zohoapis.in'),
  au: dataCenter('zoho.com.au', 'zohoapis.com.au'),
  jp: dataCenter('zoho.jp', 'zohoapis.jp'),
  // Canada is irregular: its accounts and products are on zohocloud.ca, its gateway on zohoapis.ca.
  ca: dataCenter('zohocloud.ca', 'zohoapis.ca', { content: 'https://upload.zohocloud.ca' }),
  cn: dataCenter('zoho.com.cn', 'zohoapis.com.cn'),
  sa: dataCenter('zoho.sa', 'zohoapis.sa', { content: 'https://files.zoho.sa' }),
  uk: dataCenter('zoho.uk', 'zohoapis.uk'),
  ae: dataCenter('zoho.ae', 'zohoapis.ae'),
  sg: dataCenter('zoho.sg', 'zohoapis.sg'),
};

function dataCenter(domain: string, apiDomain: string, odd: Record<string, string> = {}): ZohoDataCenter {
  return {
    accounts: `https://accounts.${domain}`,
    api: `https://www.${apiDomain}`,
    hosts: {
      ...Object.fromEntries(productHosts.split(' ').map((label) => [label, `https://${label}.${domain}`])),
      ...Object.fromEntries(
        ['sandbox', 'developer', 'content'].map((label) => [label, `https://${label}.${apiDomain}`]),
      ),
      ...odd,
    },
  };
}
