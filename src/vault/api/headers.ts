import { invalidRequest } from '../../base/errors.ts';
import type { PlacedCall } from './target.ts';

/**
 * Returns the headers of a call that replace the caller's of the same name: the token, what the definition pins, and the
 * defaults and the organisation that the caller did not name.
 *
 * @param given returns the caller's value of a header, or null
 * @throws {GrantryError} `invalid_request` when the caller names another value of a pinned header: it would be lost in
 * silence
 */
export function ownHeaders({ target, token }: PlacedCall, given: (name: string) => string | null): [string, string][] {
  const { definition, headers, defaults, organization } = target;
  const own: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    const named = given(name);
    if (named !== null && named !== value) {
      throw invalidRequest(`${definition.id} sets the header ${name} itself, and the caller names another value.`, {
        action: "Leave the header out, or change the grant's metadata or the provider's definition.",
      });
    }
    own.push([name, value]);
  }
  for (const [name, value] of Object.entries(defaults)) if (isOpen(name, given(name))) own.push([name, value]);
  if (organization?.in === 'header') own.push([organization.name, organization.value]);
  own.push(['authorization', `${definition.accessToken.scheme} ${token.accessToken}`]);
  return own;
}

/** Tells whether a caller leaves a header to the default. HTTP clients accept every type when their user chose none. */
function isOpen(name: string, given: string | null): boolean {
  return given === null || (name.toLowerCase() === 'accept' && given.trim() === '*/*');
}
