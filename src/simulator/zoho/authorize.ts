import { redirect, type SimulatorAnswer, withQuery } from '../http/answer.ts';
import { consentPage, errorPage } from '../http/consent.ts';
import { isEnabledIn, isRedirectUriOf, type KnownUser, type SimulatorClient } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import { accountsOf, apiOf } from '../state/sites.ts';
import { type Code, consentOf, keepCode, type SimulatorState } from '../state/state.ts';
import { zohoValue } from '../state/tokens.ts';
import type { ZohoSettings } from '../state/zoho-settings.ts';
import { callbackUrl } from './callback.ts';
import { isKnownScope, splitScopes } from './scopes.ts';

export const consentPath = '/oauth/v2/auth/consent';

interface Request {
  readonly client: SimulatorClient;
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly settings: ZohoSettings;
  readonly user: KnownUser;
}

/** Handles `GET {accounts}/oauth/v2/auth` and the `POST` of the consent page's form. */
export function zohoAuthorize(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const request = check(state, incoming);
  if ('status' in request) return request;
  const { client, user, settings } = request;
  if (user.dc !== incoming.site.dc) return moved(state, incoming, client, user);
  const { parameters } = incoming;
  const event = { kind: 'authorize', clientId: client.clientId, user: user.id } as const;
  const offline = parameters.get('access_type') === 'offline';
  const prompted = parameters.get('prompt')?.toLowerCase() === 'consent';
  const organization = incoming.form.get('organization') ?? state.registry.picked;
  const isOfUser = organization === null || user.organizations.some((each) => each.id === organization);
  const consent = consentOf(state, 'zoho', client.clientId, user.id);
  const remembered =
    request.scopes.every((scope) => consent.scopes.has(scope.toLowerCase())) && (consent.offline || !offline);
  const decision =
    incoming.method === 'POST'
      ? incoming.form.get('decision')
      : state.registry.autoApprove || (remembered && !prompted)
        ? 'accept'
        : null;
  if (decision === 'decline') {
    const echo = parameters.get('state');
    const location = withQuery(request.redirectUri, [
      ['error', 'access_denied'],
      ...(echo === null ? [] : [['state', echo] as const]),
    ]);
    return redirect(location, { ...event, outcome: 'declined', error: 'access_denied' });
  }
  // The person has chosen another user on the page: the organisations of that one are offered next.
  if (decision !== 'accept' || (!isOfUser && incoming.method === 'POST'))
    return consentPage(state, incoming, consentPath, user, request.scopes);
  const withRefreshToken = offline && (prompted || !consent.offline || !remembered || settings.refreshTokenOnRepeat);
  for (const scope of request.scopes) consent.scopes.add(scope.toLowerCase());
  if (withRefreshToken) consent.offline = true;
  return parameters.get('response_type') === 'token'
    ? implicit(state, incoming, request)
    : withCode(state, incoming, request, { withRefreshToken, organization: isOfUser ? organization : null });
}

/**
 * Creates a code as the consent page does.
 *
 * @returns the code, marked when it exceeds the limit
 */
export function makeCode(
  state: SimulatorState,
  parts: Omit<Code, 'value' | 'profile' | 'expiresAt' | 'overLimit' | 'used'>,
  lifeSeconds: number,
): Code {
  const now = state.clock.now();
  const { codes } = state.zoho.for(parts.dc, parts.clientId);
  const key = `codes ${parts.clientId}`;
  const overLimit = codes !== 'off' && !state.rateWindows.allows(key, codes, now);
  if (codes !== 'off') state.rateWindows.count(key, codes, now);
  const code: Code = {
    ...parts,
    value: zohoValue(state.random),
    profile: 'zoho',
    expiresAt: now + lifeSeconds * 1000,
    overLimit,
    used: false,
  };
  keepCode(state, code);
  return code;
}

/** Checks the request; returns Zoho's own error page for every error that must not be redirected. */
function check(state: SimulatorState, incoming: Incoming): Request | SimulatorAnswer {
  const { parameters, site } = incoming;
  const clientId = parameters.get('client_id');
  const settings = state.zoho.for(site.dc, clientId);
  const wrong = (title: string, text: string): SimulatorAnswer =>
    errorPage(settings.errorPageStatus, title, text, clientId);
  const responseType = parameters.get('response_type');
  if (responseType === null || clientId === null)
    return wrong('Invalid response type', 'The response_type or the client_id is missing.');
  const client = state.registry.client(clientId);
  if (client === undefined || (responseType !== 'code' && responseType !== 'token')) {
    return wrong('Invalid Client', 'The client ID passed does not exist, or the response_type is not one it may use.');
  }
  const scopes = splitScopes(parameters.get('scope') ?? '', settings.spaceSeparatedScopes);
  if (scopes.length === 0 || !scopes.every(isKnownScope))
    return wrong('Invalid OAuth scope', 'The scope is missing or does not exist.');
  const redirectUri = parameters.get('redirect_uri') ?? '';
  if (!isRedirectUriOf(client, redirectUri))
    return wrong('Invalid Redirect Uri', 'The redirect URI passed does not match the one configured.');
  if (client.requirePkce === true && !parameters.has('code_challenge'))
    return wrong('Invalid Request', 'The code_challenge is missing.');
  const user = state.registry.atBrowser(parameters.get('login_hint'), site.dc);
  if (user === undefined) return wrong('No user', 'No user is registered.');
  return { client, redirectUri, scopes, settings, user };
}

/** Sends the browser to the user's data centre, if the client is enabled there. */
function moved(state: SimulatorState, incoming: Incoming, client: SimulatorClient, user: KnownUser): SimulatorAnswer {
  const { site } = incoming;
  const home = state.sites.find('zoho', user.dc);
  // China is operated separately: its users are unknown elsewhere, and others are unknown there.
  const separate = user.dc === 'cn' || site.dc === 'cn';
  if (home === undefined || separate || !isEnabledIn(client, user.dc)) {
    const text = `This application is not available to users of data centre ${user.dc}.`;
    return errorPage(400, 'Invalid Client', text, client.clientId);
  }
  const query = new URLSearchParams(incoming.parameters);
  query.delete('decision');
  query.set('login_hint', user.id);
  return redirect(`${accountsOf(home)}/oauth/v2/auth?${query.toString()}`, {
    kind: 'authorize',
    outcome: 'shown',
    clientId: client.clientId,
    user: user.id,
    detail: `moved to data centre ${user.dc}`,
  });
}

function withCode(
  state: SimulatorState,
  incoming: Incoming,
  request: Request,
  chosen: { withRefreshToken: boolean; organization: string | null },
): SimulatorAnswer {
  const { client, user, settings, scopes, redirectUri } = request;
  const { parameters, site } = incoming;
  const challenge = parameters.get('code_challenge');
  const method = parameters.get('code_challenge_method') ?? 'plain';
  const parts = { dc: site.dc, clientId: client.clientId, user: user.id, scopes, redirectUri, ...chosen };
  const code = makeCode(
    state,
    { ...parts, challenge: challenge === null ? null : { value: challenge, method } },
    settings.codeSeconds,
  );
  if (code.overLimit && settings.codes !== 'off' && settings.codes.answer === 'roadblock') {
    state.codes.delete(code.value);
    const text = 'You have reached the maximum request limit for your account. Please try again later.';
    return errorPage(200, 'Access Denied', text, client.clientId);
  }
  const location = callbackUrl(settings, site, redirectUri, code.value, parameters.get('state'));
  return redirect(location, { kind: 'authorize', outcome: 'code', clientId: client.clientId, user: user.id });
}

/** Sends browser clients an access token in the fragment. */
function implicit(state: SimulatorState, incoming: Incoming, request: Request): SimulatorAnswer {
  const { client, user, scopes, redirectUri } = request;
  const now = state.clock.now();
  const parts = { profile: 'zoho', dc: incoming.site.dc, clientId: client.clientId, user: user.id, scopes };
  const family = state.ledger.open(parts, now);
  const token = state.ledger.loneAccess(family, now);
  const fragment = new URLSearchParams({
    access_token: token.value,
    expires_in: String(Math.round((token.expiresAt - now) / 1000)),
    location: incoming.site.dc ?? '',
    api_domain: apiOf(incoming.site),
  });
  const echo = incoming.parameters.get('state');
  if (echo !== null) fragment.set('state', echo);
  return redirect(`${redirectUri}#${fragment.toString()}`, {
    kind: 'authorize',
    outcome: 'issued',
    clientId: client.clientId,
    user: user.id,
    family: family.id,
  });
}
