/**
 * Names of Zoho's hosts in `dataCenters`.
 *
 * `api` is the gateway that most products share; the token answer calls it `api_domain`.
 */
export type ZohoHost =
  | 'accounts'
  | 'api'
  | 'sandbox'
  | 'developer'
  | 'content'
  | 'analytics'
  | 'calendar'
  | 'campaigns'
  | 'catalyst'
  | 'cliq'
  | 'creator'
  | 'desk'
  | 'mail'
  | 'people'
  | 'projects'
  | 'projectsapi'
  | 'recruit'
  | 'sign'
  | 'workdrive';

export type ZohoDataCenter = Readonly<Record<ZohoHost, string>>;

/**
 * Returns every Zoho data centre with its hosts, in the order in which they are tried and listed; the first is the
 * default.
 *
 * Canada's products are under `zohocloud.ca` and its gateway under `zohoapis.ca`; `zoho.ca` does not belong to Zoho.
 * Bulk files have their own host, which Canada and Saudi Arabia name differently.
 */
export function zohoDataCenters(): Record<string, ZohoDataCenter> {
  return {
    us: hosts('zoho.com', 'zohoapis.com'),
    eu: hosts('zoho.eu', 'zohoapis.eu'),
    in: hosts('zoho.in', 'zohoapis.in'),
    au: hosts('zoho.com.au', 'zohoapis.com.au'),
    jp: hosts('zoho.jp', 'zohoapis.jp'),
    ca: { ...hosts('zohocloud.ca', 'zohoapis.ca'), content: 'https://upload.zohocloud.ca' },
    cn: hosts('zoho.com.cn', 'zohoapis.com.cn'),
    sa: { ...hosts('zoho.sa', 'zohoapis.sa'), content: 'https://files.zoho.sa' },
    uk: hosts('zoho.uk', 'zohoapis.uk'),
    ae: hosts('zoho.ae', 'zohoapis.ae'),
    sg: hosts('zoho.sg', 'zohoapis.sg'),
  };
}

function hosts(products: string, gateway: string): ZohoDataCenter {
  return {
    accounts: `https://accounts.${products}`,
    api: `https://www.${gateway}`,
    sandbox: `https://sandbox.${gateway}`,
    developer: `https://developer.${gateway}`,
    content: `https://content.${gateway}`,
    analytics: `https://analyticsapi.${products}`,
    calendar: `https://calendar.${products}`,
    campaigns: `https://campaigns.${products}`,
    catalyst: `https://api.catalyst.${products}`,
    cliq: `https://cliq.${products}`,
    creator: `https://creator.${products}`,
    desk: `https://desk.${products}`,
    mail: `https://mail.${products}`,
    people: `https://people.${products}`,
    projects: `https://projects.${products}`,
    projectsapi: `https://projectsapi.${products}`,
    recruit: `https://recruit.${products}`,
    sign: `https://sign.${products}`,
    workdrive: `https://workdrive.${products}`,
  };
}
