import { nameCallers } from '../../base/callers-line.ts';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import { type CheckedKey, checkKey, type GrantKey } from '../../base/ids.ts';
import { checkVault } from '../checks.ts';
import type { Vault, VaultRequest } from '../types.ts';
import { type ApiCallOptions, jsonRequest, readAnswer, refusal } from './json-call.ts';

export type { ApiCallOptions, ApiRefusal } from './json-call.ts';

const methodPattern = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/i;

/**
 * One tenant's tokens and API calls, for new code that uses a token manager per client. Code that keeps tokens by hand moves
 * to the class of this name in `grantry/zoho`, which takes a client id, a secret and a refresh token.
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
    this.#vault = checkVault(vault, 'ZohoTokenManager');
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
   * Returns a token that replaces the current one. Call it after a refusal by an API; {@link ZohoTokenManager.apiCall} does
   * so itself. If the grant's own API accepts the current token, that one is returned.
   *
   * @throws {GrantryError} Every error of `Vault.rejectAccessToken`.
   *
   * @example
   * const token = await new ZohoTokenManager(vault, key).forceRefresh();
   */
  async forceRefresh(): Promise<string> {
    const { generation } = await this.#vault.getAccessToken(this.#key, { minValidity: 0 });
    return (await this.#vault.rejectAccessToken(this.#key, generation)).accessToken;
  }

  /**
   * Calls the tenant's API and returns the parsed JSON of the answer, or `null` for an empty answer, which Zoho sends if
   * nothing was found. Adds the token, the host of the tenant's data centre and the organisation's id. If the API rejects
   * the token, the token is replaced once and the call repeated.
   *
   * Call it as `apiCall(path)`, `apiCall(path, options)`, `apiCall(path, method, body)` or `apiCall(method, path, body)`.
   * The type of the answer is declared by the caller and not checked.
   *
   * @throws {GrantryError} For an unsuccessful answer, with its `status` and `data` in `response`, and an
   * {@link ApiRefusal} as `cause`: `provider_throttled` (429),
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
    const { body, notJson } = await readAnswer(response);
    if (!response.ok) throw refusal(response, body);
    if (notJson !== undefined) throw unreadable(response.status, notJson);
    // The caller declares the type of the API's answer; it is not known here.
    return body as Answer;
  }
}

nameCallers(ZohoTokenManager.prototype);

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
    return { path, request: jsonRequest({ method, body: third }) };
  }
  return { path: first, request: jsonRequest(second ?? {}) };
}

function unreadable(status: number, cause: unknown): GrantryError {
  return new GrantryError('provider_error', `The API answered with status ${status} and a body that is not JSON.`, {
    cause,
    action: 'Use vault.fetch for answers that are not JSON.',
  });
}
