import { PassThrough, type Stream } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { isGrantryError } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import { builtInProvider } from '../../providers/catalogue.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import type { Vault, VaultRequest } from '../../vault/types.ts';
import type { SdkAnswer, SdkConfig, SdkConnector, SdkConverter, SdkEnvironment } from './sdk.ts';

/** The vault and the settings with which the SDK was initialised. */
export interface SdkSetting {
  readonly vault: Vault;
  readonly environment: SdkEnvironment;
  readonly sdkConfig: SdkConfig;
}

/**
 * Sends one call of the SDK for a tenant. The vault chooses the host of the tenant's data centre, adds the token, and replaces
 * a refused token once for all calls.
 *
 * @throws {GrantryError} every error of `Vault.fetch`
 */
export async function send(
  setting: SdkSetting,
  key: CheckedKey,
  connector: SdkConnector,
  converter: SdkConverter | null,
): Promise<SdkAnswer> {
  if (connector.contentType !== undefined && connector.contentType !== null) connector.setContentTypeHeader();
  const { body, headers } = await bodyOf(connector, converter);
  const timeoutMs = setting.sdkConfig.getTimeout();
  const response = await setting.vault.tokenSource(key).fetch(await targetOf(setting, key, connector), {
    method: connector.requestMethod,
    headers: { ...Object.fromEntries(connector.headers ?? []), ...headers },
    body,
    ...(timeoutMs > 0 ? { signal: AbortSignal.timeout(timeoutMs) } : {}),
  });
  const rawBody = Buffer.from(await response.arrayBuffer());
  const answerHeaders = Object.fromEntries(response.headers);
  return { statusCode: response.status, headers: answerHeaders, body: rawBody.toString('utf8'), rawBody };
}

async function bodyOf(
  connector: SdkConnector,
  converter: SdkConverter | null,
): Promise<Pick<VaultRequest, 'body'> & { headers: Record<string, string> }> {
  const { requestBody } = connector;
  const isEmpty = requestBody === undefined || requestBody === null || Object.keys(requestBody).length === 0;
  if (isEmpty || converter === null) return { body: undefined, headers: {} };
  const written: unknown = await converter.appendToRequest(connector, null);
  // A file is read into memory, as its answer is: so the call can be repeated after a refused token.
  if (isForm(written)) return { body: await buffer(written.pipe(new PassThrough())), headers: written.getHeaders() };
  if (typeof written !== 'string') return { body: undefined, headers: {} };
  return { body: written, headers: { 'content-type': 'application/json' } };
}

/** A form of the package form-data: an old kind of stream, with the header of its boundary. */
function isForm(value: unknown): value is Stream & { getHeaders(): Record<string, string>; pipe: Stream['pipe'] } {
  return typeof value === 'object' && value !== null && 'getHeaders' in value && 'pipe' in value;
}

/** A path, which the vault puts on the tenant's own host; or the URL of the host for files in the tenant's data centre. */
async function targetOf(setting: SdkSetting, key: CheckedKey, { url, parameters }: SdkConnector): Promise<string> {
  const parsed = new URL(url);
  for (const [name, value] of parameters ?? []) parsed.searchParams.append(name, String(value));
  const path = parsed.pathname + parsed.search;
  if (parsed.origin === new URL(setting.environment.getUrl()).origin) return path;
  if (parsed.origin !== new URL(setting.environment.getFileUploadUrl()).origin) return parsed.href;
  return `${await contentHost(setting.vault, key)}${path}`;
}

async function contentHost(vault: Vault, key: CheckedKey): Promise<string> {
  const dc = (await vault.grants.get(key))?.dc ?? '';
  return (await definitionOf(vault, key.provider))?.dataCenters?.[dc]?.['content'] ?? '';
}

/** The key of a program may call the API without seeing definitions: the built-in one is then the one that counts. */
async function definitionOf(vault: Vault, provider: string): Promise<ProviderDefinition | null> {
  try {
    return await vault.providers.get(provider);
  } catch (error) {
    if (!isGrantryError(error, 'forbidden')) throw error;
    return builtInProvider(provider);
  }
}
