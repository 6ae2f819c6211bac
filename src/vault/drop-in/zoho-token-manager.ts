import { GrantryError, type GrantryErrorCode, invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { checkVault } from '../checks.ts';
import type { CallBody, Vault, VaultRequest } from '../types.ts';

/** Options of {@link ZohoTokenManager.apiCall}. */
export interface ApiCallOptions {
  /** The HTTP method; `GET` by default. */
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** Sent as JSON; strings and bytes are sent unchanged. */
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** The `cause` of the error for a refused {@link ZohoTokenManager.apiCall}. */
export interface ApiRefusal {
  readonly status: number;
  /** The parsed answer, or its text if it is not JSON. */
  readonly body: unknown;
}

const methodPattern = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/i;

/**
 * One tenant's tokens and API calls, for code that uses a token manager per client.
 *
 * It holds no token of its own, so any number of instances may exist.
 *
 * @example
 * import { openVault, ZohoTokenManager } from 'grantry';
 *
 * await using vault = await openVault();
 * const acme = new ZohoTokenManager(vault, { tenant: 'acme', provider: 'zoho_crm' });
 * const leads = await acme.apiCall<{ data: { id: string }[] } | null>('/crm/v8/Leads?fields=Last_Name');
 * await acme.apiCall('/crm/v8/Leads', 'POST', { data: [{ Last_Name: 'Lovelace' }] });
 */
export class ZohoTokenManager {
  readonly #vault: Vault;
  readonly #key: CheckedKey;

  /** @throws {GrantryError} `invalid_request` without a vault, or for an invalid key */
  constructor(vault: Vault, key: GrantKey) {
    this.#vault = checkVault(vault);
    this.#key = checkKey(key);
  }

  /**
   * Returns an access token that is valid for at least 60 seconds.
   *
   * @throws {GrantryError} Every error of `Vault.getAccessToken`.
   *
   * @example
   * const token = await new ZohoTokenManager(vault, key).getAccessToken();
   */
  async getAccessToken(): Promise<string> {
    return (await this.#vault.getAccessToken(this.#key)).accessToken;
  }

  /**
   * Calls the tenant's API and returns the parsed JSON of the answer, or `null` for an empty answer, which Zoho sends if
   * nothing was found. Adds the token, the host of the tenant's data centre and the organisation's id. If the API rejects
   * the token, the token is replaced once and the call repeated.
   *
   * Call it as `apiCall(path)`, `apiCall(path, options)`, `apiCall(path, method, body)` or `apiCall(method, path, body)`.
   * The type of the answer is declared by the caller and not checked.
   *
   * @throws {GrantryError} For an unsuccessful answer, with an {@link ApiRefusal} as `cause`: `provider_throttled` (429),
   * `insufficient_scope` (a missing scope), `provider_unavailable` (5xx) or `provider_error`. Also `invalid_request` for a
   * path on another host, and every error of `Vault.getAccessToken`.
   *
   * @example
   * const manager = new ZohoTokenManager(vault, key);
   * const users = await manager.apiCall<{ users: { id: string }[] }>('/crm/v8/users');
   * await manager.apiCall(`/crm/v8/Leads/${users.users[0]?.id}`, { method: 'DELETE' });
   */
  async apiCall<Answer = unknown>(path: string, options?: ApiCallOptions): Promise<Answer>;
  async apiCall<Answer = unknown>(path: string, method: string, body?: unknown): Promise<Answer>;
  async apiCall<Answer = unknown>(first: string, second?: string | ApiCallOptions, third?: unknown): Promise<Answer> {
    const { path, request } = readCall(first, second, third);
    const response = await this.#vault.fetch(this.#key, path, request);
    const body = await readBody(response);
    if (!response.ok) throw refusal(response, body);
    // The caller declares the type of the API's answer; it is not known here.
    return body as Answer;
  }
}

function readCall(
  first: string,
  second: string | ApiCallOptions | undefined,
  third: unknown,
): { path: string; request: VaultRequest } {
  if (typeof first !== 'string' || first === '') throw invalidRequest('The path is missing.');
  if (second === null || (second !== undefined && typeof second !== 'string' && typeof second !== 'object')) {
    throw invalidRequest('The second argument must be an options object or a method.');
  }
  if (typeof second === 'string') {
    const methodFirst = methodPattern.test(first);
    const [method, path] = methodFirst ? [first, second] : [second, first];
    return { path, request: requestOf({ method, body: third }) };
  }
  return { path: first, request: requestOf(second ?? {}) };
}

function requestOf(options: ApiCallOptions): VaultRequest {
  const { method, signal } = options;
  const { body, isJson } = encode(options.body);
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
  if (isJson && !named) headers['content-type'] = 'application/json';
  return { method, headers, body, signal };
}

function encode(body: unknown): { body: CallBody | undefined; isJson: boolean } {
  if (body === undefined || body === null) return { body: undefined, isJson: false };
  if (isRaw(body)) return { body, isJson: false };
  // A string is usually JSON that the caller has serialised.
  if (typeof body === 'string') return { body, isJson: true };
  let json: string | undefined;
  try {
    json = JSON.stringify(body);
  } catch (error) {
    throw invalidRequest('The body cannot be written as JSON.', { cause: error });
  }
  if (json === undefined) throw invalidRequest('The body cannot be written as JSON.');
  return { body: json, isJson: true };
}

/** Bodies that are sent as they are: as JSON they would be an empty object. */
function isRaw(body: unknown): body is Uint8Array | FormData | Blob | URLSearchParams | ReadableStream<Uint8Array> {
  const kinds = [Uint8Array, FormData, Blob, URLSearchParams, ReadableStream];
  return kinds.some((kind) => body instanceof kind);
}

async function readBody(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!response.ok) return text;
    throw new GrantryError(
      'provider_error',
      `The API answered with status ${response.status} and a body that is not JSON.`,
      { cause: error, action: 'Use vault.fetch for answers that are not JSON.' },
    );
  }
}

function refusal(response: Response, body: unknown): GrantryError {
  const { status } = response;
  const apiCode = apiCodeOf(body);
  const cause: ApiRefusal = { status, body };
  return new GrantryError(
    errorCodeOf(status, apiCode),
    `The API refused the call (status ${status}${apiCode === null ? '' : `, ${apiCode}`}).`,
    { cause, action: 'See the status and body in the cause of this error.', ...waitOf(response) },
  );
}

function errorCodeOf(status: number, apiCode: string | null): GrantryErrorCode {
  if (status === 429) return 'provider_throttled';
  if (status >= 500) return 'provider_unavailable';
  if (apiCode !== null && /SCOPE_MISMATCH|SCOPE_INVALID/i.test(apiCode)) return 'insufficient_scope';
  return 'provider_error';
}

/** Returns the API's own error code if it is a plain word; no other part of an answer may appear in a message. */
function apiCodeOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const code: unknown = Reflect.get(body, 'code') ?? Reflect.get(body, 'errorCode');
  if (typeof code === 'number') return String(code);
  return typeof code === 'string' && /^[A-Z][A-Z_]{2,63}$/.test(code) ? code : null;
}

/** Reads Retry-After in seconds only, because a date would be relative to the provider's clock. */
function waitOf(response: Response): { retryAfterMs?: number } {
  const header = response.headers.get('retry-after') ?? '';
  return /^\d{1,6}$/.test(header) ? { retryAfterMs: Number(header) * 1_000 } : {};
}
