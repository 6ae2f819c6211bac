/**
 * Zoho's own CRM SDKs over a vault: `@zohocrm/typescript-sdk-8.0` and `@zohocrm/nodejs-sdk-8.0`, with one initialisation for
 * tenants of all data centres at once. The SDK gets no token and no secret: the vault sends its calls.
 *
 * @example
 * import * as sdk from '@zohocrm/typescript-sdk-8.0';
 * import { openVault } from 'grantry';
 * import { initializeZohoSdk, withTenant } from 'grantry/zoho-sdk';
 *
 * await using vault = await openVault();
 * await initializeZohoSdk(sdk, vault, { resourcePath: './zoho-fields' });
 * const users = (tenant: string) =>
 *   withTenant({ tenant, provider: 'zoho_crm' }, () => new sdk.Users.UsersOperations().getUsers());
 * const [acme, umbrella] = await Promise.all([users('acme'), users('umbrella')]);
 *
 * @module
 */

export { initializeZohoSdk, type ZohoSdkOptions } from './zoho-sdk/initialize.ts';
export type { SdkBuilder, SdkConfig, SdkEnvironment, SdkLogBuilder, ZohoCrmSdk } from './zoho-sdk/sdk.ts';
export { withTenant } from './zoho-sdk/tenant.ts';
