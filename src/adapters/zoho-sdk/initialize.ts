import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import { checkMembers } from '../../vault/check-options.ts';
import { checkVault } from '../../vault/checks.ts';
import type { Vault } from '../../vault/types.ts';
import type { SdkConfig, SdkConnector, SdkConverter, ZohoCrmSdk } from './sdk.ts';
import { type SdkSetting, send } from './send.ts';
import { currentTenant, requireTenant } from './tenant.ts';

/** Options of {@link initializeZohoSdk}. */
export interface ZohoSdkOptions {
  /** The directory in which the SDK keeps the field definitions of each tenant's modules. It is made if it is missing. */
  resourcePath: string;
  /** The result of the SDK's `SDKConfigBuilder`. `autoRefreshFields` must stay off. */
  sdkConfig?: SdkConfig | undefined;
  /** The result of the SDK's `LogBuilder`; it logs nothing by default. */
  logger?: object | undefined;
}

/**
 * Initialises the SDK for every tenant of a vault. Call it once, when the process starts, instead of the SDK's own
 * `InitializeBuilder`; then call the SDK inside `withTenant`. Never call `switchUser`.
 *
 * @param sdk The whole module: `import * as sdk from '@zohocrm/typescript-sdk-8.0'`, or of `@zohocrm/nodejs-sdk-8.0`
 * @param vault A vault, or the client of a server
 * @throws {GrantryError} `invalid_request` for another module, an unknown option, or `autoRefreshFields`
 *
 * @example
 * import * as sdk from '@zohocrm/typescript-sdk-8.0';
 * import { initializeZohoSdk } from 'grantry/zoho-sdk';
 *
 * await initializeZohoSdk(sdk, vault, { resourcePath: './zoho-fields' });
 */
export async function initializeZohoSdk(sdk: ZohoCrmSdk, vault: Vault, options: ZohoSdkOptions): Promise<void> {
  if (typeof sdk?.Initializer?.initialize !== 'function' || typeof sdk.OAuthToken !== 'function') {
    throw invalidRequest("The first argument is not the module of Zoho's CRM SDK.", {
      action: "Pass the whole module: import * as sdk from '@zohocrm/typescript-sdk-8.0'.",
    });
  }
  checkVault(vault);
  checkMembers('initializeZohoSdk', options, ['resourcePath', 'sdkConfig', 'logger']);
  const sdkConfig = options.sdkConfig ?? new sdk.SDKConfigBuilder().build();
  if (sdkConfig.getAutoRefreshFields()) {
    throw invalidRequest('With autoRefreshFields the SDK uses the modules of one tenant for all of them.', {
      action: 'Build the SDKConfig without autoRefreshFields.',
    });
  }
  await mkdir(options.resourcePath, { recursive: true });
  // The SDK appends to this text in one place, and joins paths in others.
  const resourcePath = resolve(options.resourcePath) + sep;
  const environment = sdk.USDataCenter.PRODUCTION();
  const token = tokenFor(sdk, { vault, environment, sdkConfig });
  const logger = options.logger ?? new sdk.LogBuilder().level(sdk.Levels.OFF).filePath(null).build();
  await sdk.Initializer.initialize(environment, token, emptyStore, sdkConfig, resourcePath, logger);
}

/** The store that the SDK asks for. Nothing is ever in it: the vault keeps the tokens. */
const emptyStore = {
  findToken: async () => null,
  findTokenById: async () => null,
  saveToken: async () => {},
  deleteToken: async () => {},
  getTokens: async () => [],
  deleteTokens: async () => {},
};

/** A token of the SDK's own class, which it insists on. It holds nothing, and asks the vault for each call. */
function tokenFor(sdk: ZohoCrmSdk, setting: SdkSetting): object {
  return Object.assign(new sdk.OAuthToken(null, null, null, null, null, null, null, null, false), {
    authenticate: async (connector: SdkConnector) => {
      const key = told(sdk, requireTenant);
      connector.fireRequest = async (converter: SdkConverter | null) => {
        try {
          return await send(setting, key, connector, converter);
        } catch (error) {
          throw exceptionOf(sdk, error);
        }
      };
    },
    // The SDK names the files of field definitions by it, so each grant needs a name of its own.
    getUserSignature: () => new sdk.UserSignature(signature()),
    generateToken: async () => {},
    getToken: async () => null,
    getId: () => null,
    remove: async () => false,
    revoke: async () => false,
  });
}

function signature(): string {
  const key = currentTenant();
  if (key === undefined) return 'grantry';
  const text = JSON.stringify([key.tenant, key.provider, key.account]);
  return `grantry-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

function told<Result>(sdk: ZohoCrmSdk, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw exceptionOf(sdk, error);
  }
}

/** The SDK's own exception: it would wrap any other error, and hide its code. */
function exceptionOf(sdk: ZohoCrmSdk, error: unknown): unknown {
  if (!isGrantryError(error)) return error;
  const exception = new sdk.SDKException(error.code, `${error.message} ${error.action}`);
  Object.defineProperty(exception, 'cause', { value: error, enumerable: false });
  return Object.assign(exception, { details: null });
}
