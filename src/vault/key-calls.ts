import type { Secret } from '../base/secret.ts';
import type { ApiKey, ApiKeyInput, ApiKeyUpdate } from '../schemas/api-key.ts';

/** The calls for API keys of the servers on a database. */
export interface KeyCalls {
  /**
   * Makes an API key. The key itself is returned only here.
   *
   * @throws {GrantryError} `invalid_request` for a name that is taken or input that is not valid
   *
   * @example
   * const { key: apiKey } = await vault.keys.create('billing', { role: 'reader', tenants: ['acme'] });
   */
  create(name: string, input: ApiKeyInput): Promise<{ readonly apiKey: ApiKey; readonly key: Secret }>;
  /**
   * Changes a key by its id or name: its name, role, lists, limits or end. Servers follow within five seconds.
   *
   * Child keys that are now wider than the key end with it.
   *
   * @param changes What is left out stays. A list replaces the former one; `null` removes a limit
   * @throws {GrantryError} `not_found`, `invalid_request` for a name that is taken, a child key, or input that is not valid
   *
   * @example
   * await vault.keys.update('billing', { tenants: ['acme', 'globex'], expiresAt: null });
   */
  update(idOrName: string, changes: ApiKeyUpdate): Promise<ApiKey>;
  /**
   * Returns the keys that are not revoked, without the keys themselves.
   *
   * @example
   * const unused = (await vault.keys.list()).filter((apiKey) => apiKey.lastUsedAt === null);
   */
  list(): Promise<readonly ApiKey[]>;
  /**
   * Ends a key by its id or name. Servers refuse it within five seconds.
   *
   * @throws {GrantryError} `not_found`
   *
   * @example
   * await vault.keys.revoke('billing');
   */
  revoke(idOrName: string): Promise<void>;
}
