import { checkKey, type GrantKey } from '../base/ids.ts';
import type { TokenSource, Vault } from './types.ts';

/** The tokens of one grant of a vault or a client. @throws {GrantryError} `invalid_request` for a key that is not valid */
export function tokenSourceOf(
  vault: Pick<Vault, 'getAccessToken' | 'rejectAccessToken' | 'fetch'>,
  key: GrantKey,
): TokenSource {
  const checked = checkKey(key);
  return {
    get: (options) => vault.getAccessToken(checked, options),
    reject: (generation, options) => vault.rejectAccessToken(checked, generation, options),
    fetch: (target, init) => vault.fetch(checked, target, init),
  };
}
