import { invalidRequest } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { isPrivateUrl } from '../../base/network/loopback.ts';

/**
 * Checks the origins of a key that is made or changed: scheme, host and port, as a browser writes them. There are no
 * wildcards, because strangers can often get a name below the same domain.
 *
 * @throws {GrantryError} `invalid_request`
 */
export function checkOrigins(given: readonly string[] | null | undefined): string[] | null {
  if (given === undefined || given === null) return null;
  if (!Array.isArray(given) || given.length === 0 || given.length > limits.apiKeyOriginsMax) {
    throw invalidRequest(`A key's origins must be a list of 1 to ${limits.apiKeyOriginsMax} origins.`, {
      action: 'Name at least one origin, or leave the origins out.',
    });
  }
  return [...new Set(given.map(checkOrigin))];
}

function checkOrigin(text: unknown): string {
  const url = typeof text === 'string' && text.length <= limits.urlCharsMax ? URL.parse(text) : null;
  if (url !== null && !url.hostname.includes('*') && isPrivateUrl(url)) {
    if (url.origin === text || `${url.origin}/` === text) return url.origin;
  }
  throw invalidRequest(`${JSON.stringify(text).slice(0, 80)} is not an origin.`, {
    action: 'Write scheme and host as a browser does, such as https://widget.example, without a path.',
  });
}
