import { jsonRequest, readAnswer, refusal } from '../../vault/drop-in/json-call.ts';
import { withResponse } from './error-response.ts';
import { GivenGrant, type ZohoManagerOptions } from './given-grant.ts';

/** The buffer that hand-written managers keep, in seconds: tokens with less life are refreshed first. */
const minValidity = 600;

/** An API's answer, in the form of axios. */
export interface ZohoResponse<Data = unknown> {
  /** The parsed JSON of the body, its text if it is no JSON, and an empty text if there is none. */
  readonly data: Data;
  readonly status: number;
  readonly statusText: string;
  /** By names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The token manager of one Zoho client, with the constructor of hand-written ones. Its credentials become a grant of the
 * vault at the first use; from then on the vault refreshes the token, for all managers and processes at once.
 *
 * Every failure is an error with `response.status` and `response.data.code`, also for the network and the provider.
 *
 * @example
 * const zoho = new ZohoTokenManager('1000.ABC', 'secret', '1000.…', 'eu', { tenant: 'acme' });
 * const { data } = await zoho.apiCall<{ data: { id: string }[] }>('/crm/v8/Deals?fields=Deal_Name');
 */
export class ZohoTokenManager {
  readonly #grant: GivenGrant;

  /**
   * Nothing is opened and checked before the first use. Without credentials, the grant of `options.tenant` must be stored.
   *
   * @param dc The data centre: `us`, `eu`, `in` …, or the end of its domain: `com`, `com.au`, `com.cn`
   * @throws {GrantryError} `invalid_request` for an unknown option
   */
  constructor(
    clientId: string | undefined,
    clientSecret: string | undefined,
    refreshToken: string | undefined,
    dc = 'com',
    options: ZohoManagerOptions = {},
  ) {
    this.#grant = new GivenGrant({ clientId, clientSecret, refreshToken, dc }, options);
  }

  /**
   * Returns an access token. One that would end within 10 minutes is refreshed first, if the provider allows.
   *
   * @throws {GrantryError} with `response`: every error of `Vault.getAccessToken`
   *
   * @example
   * const headers = { Authorization: `Zoho-oauthtoken ${await new ZohoTokenManager('…', '…', '…').getAccessToken()}` };
   */
  async getAccessToken(): Promise<string> {
    return responding(async () => {
      const { vault, key } = await this.#grant.ready();
      return (await vault.getAccessToken(key, { minValidity })).accessToken;
    });
  }

  /**
   * Replaces the token after an API refused it, and returns the new one. Any number of calls make one refresh. If the last
   * refresh was a moment ago and the grant's own API accepts its token, that token is returned.
   *
   * @throws {GrantryError} with `response`: every error of `Vault.rejectAccessToken`
   *
   * @example
   * const token = await new ZohoTokenManager('…', '…', '…').forceRefresh();
   */
  async forceRefresh(): Promise<string> {
    return responding(async () => {
      const { vault, key } = await this.#grant.ready();
      const held = (await vault.grants.get(key))?.generation;
      const token = await vault.getAccessToken(key, { minValidity: 0 });
      // The read has refreshed just now: this token is the new one.
      if (token.generation !== held) return token.accessToken;
      return (await vault.rejectAccessToken(key, token.generation)).accessToken;
    });
  }

  /**
   * Calls the client's API, and returns the answer as axios does. A refused token is replaced once and the call repeated.
   *
   * @param url A path, or a URL in the client's own data centre
   * @param data Sent as JSON; texts, bytes, `FormData` and `URLSearchParams` are sent as they are
   * @throws {GrantryError} with `response`: for an answer other than 2xx, with the API's `status` and `data`;
   * `invalid_request` for a URL in another data centre; and every error of {@link ZohoTokenManager.getAccessToken}
   *
   * @example
   * const zoho = new ZohoTokenManager('1000.ABC', 'secret', '1000.…', 'eu');
   * const { status } = await zoho.apiCall('/crm/v8/Deals', 'POST', { data: [{ Deal_Name: 'Engine' }] });
   */
  async apiCall<Data = unknown>(url: string, method = 'GET', data: unknown = null): Promise<ZohoResponse<Data>> {
    const { response, body } = await responding(async () => {
      const { vault, key } = await this.#grant.ready();
      const answer = await vault.fetch(key, url, jsonRequest({ method, body: data }));
      return { response: answer, body: (await readAnswer(answer)).body ?? '' };
    });
    if (!response.ok) throw refusal(response, body);
    const { status, statusText } = response;
    // The caller declares the type of the API's answer; it is not known here.
    return { data: body as Data, status, statusText, headers: Object.fromEntries(response.headers) };
  }
}

async function responding<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw withResponse(error);
  }
}
