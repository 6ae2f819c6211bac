/**
 * Token managers with the constructors and answers of code that keeps Zoho's tokens by hand, over a vault. To move such code,
 * change its import.
 *
 * The vault of the environment is opened at the first use: `GRANTRY_URL` and `GRANTRY_API_KEY`, or `GRANTRY_HOME` and
 * `GRANTRY_DATABASE`. Call {@link configure} to give another one.
 *
 * @example
 * import { ZohoTokenManager } from 'grantry/zoho';
 *
 * const { ZOHO_CLIENT_ID = '', ZOHO_CLIENT_SECRET = '', ZOHO_REFRESH_TOKEN = '' } = process.env;
 * const zoho = new ZohoTokenManager(ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET, ZOHO_REFRESH_TOKEN, 'eu');
 * const { data, status } = await zoho.apiCall('https://www.zohoapis.eu/crm/v8/Deals?fields=Deal_Name');
 * console.log(status, data);
 *
 * @module
 */

export { type ZohoErrorData } from './zoho/error-response.ts';
export { type ZohoManagerOptions } from './zoho/given-grant.ts';
export { MultiDCTokenManager, type ZohoClientConfig } from './zoho/multi-dc-token-manager.ts';
export { closeVault, configure } from './zoho/process-vault.ts';
export { type ZohoResponse, ZohoTokenManager } from './zoho/token-manager.ts';
export { getZohoUrls, type ZohoUrls } from './zoho/urls.ts';
