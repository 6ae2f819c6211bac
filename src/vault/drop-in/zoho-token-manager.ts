import { GrantryError, type GrantryErrorCode } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import type { Vault, VaultRequest } from '../types.ts';

/** What an API call needs besides its path. */
export interface ApiCallOptions {
  /** `GET` when left out. */
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** Sent as JSON; a string or bytes are sent as they are. */
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** Stands in `cause` of the error for a refused {@link ZohoTokenManager.apiCall}. */
export interface ApiRefusal {
  readonly status: number;
  /** The parsed answer, or its text where it is not JSON. */
  readonly body: unknown;
}

const methodPattern = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/i;

/**
 * One tenant's tokens and API calls, for code written against a token manager per client.
 *
 * It holds no token of its own: make as many as you like.
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

  /** @throws {GrantryError} `invalid_request` without a vault, or for a key that is none */
  constructor(vault: Vault, key: GrantKey) {
    if (typeof vault?.getAccessToken !== 'function') {
      throw new GrantryError('invalid_request', 'A vault is needed here, as openVault returns it.');
    }
    this.#vault = vault;
    this.#key = checkKey(key);
  }

  /**
   * Returns an access token that is good for at least 60 seconds.
   *
   * @throws {GrantryError} whatever `Vault.getAccessToken` throws
   *
   * @example
   * const token = await new ZohoTokenManager(vault, key).getAccessToken();
   */
  async getAccessToken(): Promise<string> {
    return (await this.#vault.getAccessToken(this.#key)).accessToken;
  }

  /**
   * Calls the tenant's API and returns the parsed JSON of the answer; `null` for an empty one, as Zoho gives where nothing
   * was found. The token, the host of the tenant's data centre and the organisation's id are put in; a token that the API
   * refuses is replaced once, and the call made again.
   *
   * Written as `apiCall(path)`, `apiCall(path, options)`, `apiCall(path, method, body)` or `apiCall(method, path, body)`.
   * The shape of the answer is the caller's word: it is not checked.
   *
   * @throws {GrantryError} for an answer that is no success: `provider_throttled` (429), `insufficient_scope` (403 that
   * says so), `provider_unavailable` (5xx) or `provider_error`, with an {@link ApiRefusal} as `cause`; `invalid_request`
   * for a path on another host; and whatever `Vault.getAccessToken` throws
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
    // The caller names the shape of what the API answers; nobody here knows it.
    return body as Answer;
  }
}

function readCall(
  first: string,
  second: string | ApiCallOptions | undefined,
  third: unknown,
): { path: string; request: VaultRequest } {
  if (typeof first !== 'string' || first === '') throw new GrantryError('invalid_request', 'The path is missing.');
  if (second === null || (second !== undefined && typeof second !== 'string' && typeof second !== 'object')) {
    throw new GrantryError('invalid_request', 'After the path come options, or a method.');
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

function encode(body: unknown): { body: string | Uint8Array | undefined; isJson: boolean } {
  if (body === undefined || body === null) return { body: undefined, isJson: false };
  if (body instanceof Uint8Array) return { body, isJson: false };
  // Text is most often JSON that the caller has written itself.
  if (typeof body === 'string') return { body, isJson: true };
  let json: string | undefined;
  try {
    json = JSON.stringify(body);
  } catch (error) {
    throw new GrantryError('invalid_request', 'The body cannot be written as JSON.', { cause: error });
  }
  if (json === undefined) throw new GrantryError('invalid_request', 'The body cannot be written as JSON.');
  return { body: json, isJson: true };
}

async function readBody(response: Response): Promise<unknown> {
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw new GrantryError('provider_unavailable', "The provider's API broke off its answer.", { cause: error });
  }
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!response.ok) return text;
    throw new GrantryError('provider_error', `The API answered ${response.status} with something that is not JSON.`, {
      cause: error,
      action: 'Use vault.fetch for answers that are not JSON.',
    });
  }
}

function refusal(response: Response, body: unknown): GrantryError {
  const { status } = response;
  const said = wordOf(body);
  const cause: ApiRefusal = { status, body };
  return new GrantryError(
    codeOf(status, said),
    `The API refused the call (status ${status}${said === null ? '' : `, ${said}`}).`,
    { cause, action: 'See the status and body in the cause of this error.', ...waitOf(response) },
  );
}

function codeOf(status: number, said: string | null): GrantryErrorCode {
  if (status === 429) return 'provider_throttled';
  if (status >= 500) return 'provider_unavailable';
  if (said !== null && /SCOPE_MISMATCH|SCOPE_INVALID/i.test(said)) return 'insufficient_scope';
  return 'provider_error';
}

/** The API's own word for what is wrong, where it is a plain one: nothing else of an answer belongs in a message. */
function wordOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const word: unknown = Reflect.get(body, 'code') ?? Reflect.get(body, 'errorCode');
  if (typeof word === 'number') return String(word);
  return typeof word === 'string' && /^[A-Z][A-Z_]{2,63}$/.test(word) ? word : null;
}

/** Seconds alone: a date would have to be compared with a clock that may not be the provider's. */
function waitOf(response: Response): { retryAfterMs?: number } {
  const header = response.headers.get('retry-after') ?? '';
  return /^\d{1,6}$/.test(header) ? { retryAfterMs: Number(header) * 1_000 } : {};
}
