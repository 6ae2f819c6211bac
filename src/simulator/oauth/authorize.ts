import { redirect, type SimulatorAnswer, withQuery } from '../http/answer.ts';
import { consentPage, errorPage } from '../http/consent.ts';
import type { OAuthProfile } from '../state/profiles.ts';
import { isRedirectUriOf, type KnownUser } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import { type Code, consentOf, keepCode, type SimulatorState } from '../state/state.ts';
import { plainValue } from '../state/tokens.ts';

/** Lifetime of these servers' codes. */
const codeSeconds = 60;

/**
 * Handles `GET` and `POST` of the authorization endpoint (RFC 6749 section 4.1); the consent page's form sends the
 * `POST`.
 */
export function oauthAuthorize(state: SimulatorState, incoming: Incoming, profile: OAuthProfile): SimulatorAnswer {
  const parameters = incoming.parameters;
  const clientId = parameters.get('client_id');
  const client = state.registry.client(clientId ?? '');
  if (client === undefined)
    return errorPage(400, 'Unknown client', 'No application with this client_id is registered.', clientId);
  const redirectUri = parameters.get('redirect_uri') ?? '';
  if (!isRedirectUriOf(client, redirectUri)) {
    const text = 'The redirect_uri is not registered for this application.';
    return errorPage(400, 'Redirect URI mismatch', text, clientId);
  }
  const back = (error: string, text: string): SimulatorAnswer =>
    redirect(withQuery(redirectUri, [['error', error], ['error_description', text], ...stateOf(incoming)]), {
      kind: 'authorize',
      outcome: error === 'access_denied' ? 'declined' : 'invalid',
      clientId: client.clientId,
      error,
    });
  if (parameters.get('response_type') !== 'code')
    return back('unsupported_response_type', 'response_type must be code');
  const method = parameters.get('code_challenge_method') ?? 'plain';
  const challenge = parameters.get('code_challenge');
  if (challenge === null && client.requirePkce === true) return back('invalid_request', 'code_challenge is required');
  if (challenge !== null && method !== 'S256' && method !== 'plain')
    return back('invalid_request', 'unknown code_challenge_method');
  const scopes = (parameters.get('scope') ?? '').split(profile.scopeSeparator).filter((scope) => scope !== '');
  const user = state.registry.atBrowser(parameters.get('login_hint'), null);
  if (user === undefined) return errorPage(400, 'No user', 'No user is registered.', clientId);

  const decision =
    incoming.method === 'POST' ? incoming.form.get('decision') : state.registry.autoApprove ? 'accept' : null;
  if (decision === 'decline') return back('access_denied', 'The user declined');
  if (decision !== 'accept') return consentPage(state, incoming, profile.paths.authorization, user, scopes);
  return accepted(state, incoming, profile, {
    clientId: client.clientId,
    user,
    scopes,
    redirectUri,
    challenge: challenge === null ? null : { value: challenge, method },
  });
}

function accepted(
  state: SimulatorState,
  incoming: Incoming,
  profile: OAuthProfile,
  request: Pick<Code, 'clientId' | 'scopes' | 'challenge'> & { user: KnownUser; redirectUri: string },
): SimulatorAnswer {
  const { clientId, user, scopes, redirectUri, challenge } = request;
  const consent = consentOf(state, profile.id, clientId, user.id);
  for (const scope of scopes) consent.scopes.add(scope);
  const value = plainValue(state.random, 'ac');
  keepCode(state, {
    value,
    profile: profile.id,
    dc: null,
    organization: null,
    clientId,
    user: user.id,
    scopes,
    redirectUri,
    challenge,
    withRefreshToken: true,
    expiresAt: state.clock.now() + codeSeconds * 1000,
    overLimit: false,
    used: false,
  });
  const extras = Object.entries(profile.callbackExtras).map(
    ([name, text]) => [name, text.replace('{orgId}', user.orgId)] as const,
  );
  const location = withQuery(redirectUri, [['code', value], ...stateOf(incoming), ...extras]);
  return redirect(location, { kind: 'authorize', outcome: 'code', clientId, user: user.id });
}

function stateOf(incoming: Incoming): [string, string][] {
  const echo = incoming.parameters.get('state');
  return echo === null ? [] : [['state', echo]];
}
