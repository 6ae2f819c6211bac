import { invalidRequest } from '../../base/errors.ts';
import { checkKey } from '../../base/ids.ts';
import { insertAuthorization } from '../../storage/statements/authorizations.ts';
import { appFor } from '../app/apps.ts';
import { changing } from '../changing.ts';
import { checkRedirectUri } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import { checkWanted, wantedOfAddition } from '../organization/wanted.ts';
import type { AuthorizeInput, StartedAuthorization } from '../types.ts';
import { prepareAuthorization, scopesToAsk } from './authorize.ts';
import { additionFor, prepareAddition } from './enhance.ts';

/**
 * Starts an authorization code flow (RFC 6749 section 4.1 with PKCE, RFC 7636), or a request for more scopes. Returns the
 * URL to send the tenant's user to.
 *
 * @throws {GrantryError} `invalid_request`, `not_found` for provider or app; with `addScopes` as {@link prepareAddition}
 */
export async function authorize(context: VaultContext, input: AuthorizeInput): Promise<StartedAuthorization> {
  const key = checkKey(input);
  const redirectUri = checkRedirectUri(input.redirectUri);
  if (input.addScopes !== undefined) return startAddition(context, { ...input, addScopes: input.addScopes });
  const app = await appFor(context, { ...key, app: input.app });
  const { scopes, warnings } = await scopesToAsk(context, app, input.scopes);
  const wanted = checkWanted(await context.providers.require(key.provider), scopes, input);
  const flow = { key, app, scopes, redirectUri, session: null, ...wanted };
  const { url, state, row } = await prepareAuthorization(context, flow);
  await changing(context, ({ tx }) => insertAuthorization(tx, row));
  return { url, state, warnings, keepsRefreshToken: false };
}

async function startAddition(
  context: VaultContext,
  input: AuthorizeInput & { readonly addScopes: readonly string[] },
): Promise<StartedAuthorization> {
  if (input.scopes !== undefined) throw invalidRequest('Either scopes or addScopes, not both.');
  const key = checkKey(input);
  const addition = await additionFor(context, key, input);
  const flow = { key, ...addition, redirectUri: input.redirectUri, session: null, ...wantedOfAddition(input) };
  const prepared = await prepareAddition(context, flow);
  await changing(context, ({ tx }) => insertAuthorization(tx, prepared.row));
  const { url, state, keepsToken } = prepared;
  return { url, state, warnings: addition.warnings, keepsRefreshToken: keepsToken };
}
