import { type GrantryError, isGrantryError } from '../../base/errors.ts';
import { jsonIn } from '../../base/exact-json.ts';
import { limits } from '../../base/limits.ts';
import { readBounded } from '../../base/network/bounded.ts';
import type { Secret } from '../../base/secret.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { apiHeaders, expand, organizationOf, type Place } from '../../providers/expand.ts';
import { resolveApiUrl } from '../../providers/hosts.ts';
import type { ApiAnswer } from '../../providers/invalid-token.ts';
import type { VaultContext } from '../context.ts';
import { deadlineSignal } from '../deadline.ts';

/** A token in hand, and the place where it works. No refresh replaces it: what is asked here is never worth one. */
export interface TokenInHand {
  readonly definition: ProviderDefinition;
  readonly place: Place;
  readonly token: Secret;
}

/** The call to make: a path on the API's host, or a URL that starts with `{dc.NAME}`. */
interface Question {
  readonly method?: 'GET' | 'POST' | undefined;
  readonly path: string;
  readonly withoutOrganization?: boolean | undefined;
}

/**
 * Makes one call with a token in hand, within a short time. Returns null if no answer came.
 *
 * @throws {GrantryError} `invalid_request`, `provider_misconfigured` if the definition and the metadata give no URL
 */
export async function askApi(
  context: VaultContext,
  { definition, place, token }: TokenInHand,
  question: Question,
): Promise<ApiAnswer | null> {
  const url = urlOf(context, definition, place, question);
  const organization = question.withoutOrganization === true ? null : organizationOf(definition, place.metadata);
  const headers = new Headers({
    accept: 'application/json',
    ...apiHeaders(definition, definition.api.defaults, place),
    ...(question.withoutOrganization === true ? {} : apiHeaders(definition, definition.api.headers, place)),
    ...(organization?.in === 'header' ? { [organization.name]: organization.value } : {}),
  });
  headers.set('authorization', `${definition.accessToken.scheme} ${token.reveal()}`); // to the provider that issued it
  const deadline = deadlineSignal(context, context.times.organizationReadMs);
  try {
    const { signal } = deadline;
    const response = await context.world.fetch(url, { method: question.method ?? 'GET', headers, signal });
    const { bytes } = await readBounded(response.body, limits.apiPeekBytesMax);
    const body = jsonIn(bytes.toString('utf8'));
    const answer = { status: response.status, wwwAuthenticate: response.headers.get('www-authenticate') };
    return body === undefined ? answer : { ...answer, body };
  } catch (error) {
    if (isGrantryError(error) && isOurs(error)) throw error;
    return null;
  } finally {
    deadline.clear();
  }
}

function isOurs({ code }: GrantryError): boolean {
  return ['invalid_request', 'provider_misconfigured', 'storage_unavailable', 'vault_sealed'].includes(code);
}

/** Only the definition names a URL, and only one at its own data centre: the host has the user's consent. */
function urlOf(context: VaultContext, definition: ProviderDefinition, place: Place, { path }: Question): string {
  const expanded = expand(definition, path, place);
  if (path.startsWith('{dc.')) return expanded;
  return resolveApiUrl(definition, expanded, { ...place, allowLoopback: context.allowLoopback });
}
