import { type AnswerEvent, json, type SimulatorAnswer } from '../http/answer.ts';
import { deathOf, type IssuedRefreshToken, spend } from '../state/families.ts';
import type { SimulatorClient } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { Code, SimulatorState } from '../state/state.ts';
import { fingerprintOf, s256 } from '../state/tokens.ts';
import type { ZohoSettings } from '../state/zoho-settings.ts';
import { throttled, zohoError, zohoTokens } from './answers.ts';
import { zohoClient } from './client.ts';
import { isKnownScope, splitScopes } from './scopes.ts';

/** A token request of a known client. */
interface Call {
  readonly state: SimulatorState;
  readonly incoming: Incoming;
  readonly settings: ZohoSettings;
  readonly client: SimulatorClient;
  readonly event: AnswerEvent;
}

/** Handles `POST {accounts}/oauth/v2/token` in any of its three request styles. */
export function zohoToken(state: SimulatorState, original: Incoming): SimulatorAnswer {
  const settings = state.zoho.for(original.site.dc, original.clientId);
  const incoming = withJsonBody(original, settings);
  const { parameters } = incoming;
  const presented = parameters.get('refresh_token');
  const event: AnswerEvent = {
    kind: 'token',
    outcome: 'invalid',
    grantType: parameters.get('grant_type') ?? undefined,
    clientId: incoming.clientId ?? undefined,
    token: presented === null ? undefined : fingerprintOf(presented),
  };
  if (incoming.method !== 'POST') return json(400, { error: 'invalid_request' }, { ...event, error: 'wrong method' });
  const grantType = parameters.get('grant_type');
  if (grantType === null) return json(400, { error: 'invalid_request' }, { ...event, error: 'grant_type is missing' });
  const client = zohoClient(state, incoming, settings, event);
  if ('status' in client) {
    countFailure(state, settings, presented);
    return client;
  }
  const call: Call = { state, incoming, settings, client, event };
  if (grantType === 'authorization_code') return exchange(call);
  if (grantType === 'refresh_token') return refresh(call);
  if (grantType === 'client_credentials') return clientCredentials(call);
  return zohoError(settings, 'invalid_client', { ...event, outcome: 'invalid' });
}

function refresh(call: Call): SimulatorAnswer {
  const { state, incoming, settings, event } = call;
  const now = state.clock.now();
  const found = state.ledger.findRefresh(incoming.parameters.get('refresh_token') ?? '');
  const told: AnswerEvent = { ...event, family: found?.family.id, user: found?.family.user };
  const refused = refusalOf(call, found);
  if (found === undefined || refused !== null) {
    countFailure(state, settings, incoming.parameters.get('refresh_token'));
    const { error = 'invalid_code', detail } = refused ?? {};
    return zohoError(settings, error, { ...told, outcome: 'refused', detail });
  }
  if (state.registry.isDeactivated(found.family.user)) {
    const detail = 'the user is deactivated';
    return zohoError(settings, settings.deactivatedUser, { ...told, outcome: 'refused', detail });
  }
  const { throttle } = settings;
  if (throttle !== 'off') {
    const key = `tokens ${found.value}`;
    const allowed = state.rateWindows.allows(key, throttle, now);
    if (allowed || throttle.countsThrottled || throttle.prolong === true) state.rateWindows.count(key, throttle, now);
    if (!allowed) return throttled(throttle, told);
  }
  const spent = spend(found, state.ledger.mintOf(found.family), now);
  if (spent.kind === 'refused')
    return zohoError(settings, 'invalid_code', { ...told, outcome: 'refused', detail: spent.reason });
  state.ledger.remember(spent.pair);
  const echoed = settings.echoRefreshToken ? found : null;
  return zohoTokens(state, settings, incoming.site, spent.pair.accessToken, echoed, told);
}

function refusalOf(
  { state, incoming, client }: Call,
  token: IssuedRefreshToken | undefined,
): { error: string; detail: string } | null {
  if (token === undefined || token.family.profile !== 'zoho')
    return { error: 'invalid_code', detail: 'unknown refresh token' };
  if (token.family.clientId !== client.clientId)
    return { error: 'invalid_code', detail: "another client's refresh token" };
  if (token.family.dc !== incoming.site.dc)
    return { error: 'invalid_client', detail: `the grant lives in data centre ${token.family.dc}` };
  const death = deathOf(token, state.ledger.mintOf(token.family), state.clock.now());
  return death === null ? null : { error: 'invalid_code', detail: death };
}

function exchange(call: Call): SimulatorAnswer {
  const { state, incoming, settings, client, event } = call;
  const now = state.clock.now();
  const code = state.codes.get(incoming.parameters.get('code') ?? '');
  const refused = codeRefusalOf(call, code);
  if (code === undefined || refused !== null) {
    const { error = 'invalid_code', outcome = 'refused', detail } = refused ?? {};
    return zohoError(settings, error, { ...event, user: code?.user, outcome, detail });
  }
  const { user, scopes, organization } = code;
  const parts = { profile: 'zoho', dc: incoming.site.dc, clientId: client.clientId, user, scopes, organization };
  const told: AnswerEvent = { ...event, user };
  const full = code.withRefreshToken ? noRoom(state, settings, parts, told, now) : null;
  if (full !== null) return full;
  code.used = true;
  const pair = state.ledger.firstTokens(state.ledger.open(parts, now), now, code.withRefreshToken);
  if (pair.refreshToken !== null && settings.throttle !== 'off' && settings.throttle.countsExchange) {
    state.rateWindows.count(`tokens ${pair.refreshToken.value}`, settings.throttle, now);
  }
  return zohoTokens(state, settings, incoming.site, pair.accessToken, pair.refreshToken, told);
}

const denied = { error: 'Access Denied' };

/** Makes room for one more refresh token of this user and client, or returns the reason why there is none. */
function noRoom(
  state: SimulatorState,
  settings: ZohoSettings,
  parts: { profile: string; clientId: string; user: string },
  event: AnswerEvent,
  now: number,
): SimulatorAnswer | null {
  const { refreshTokens, refreshTokenCreation: creation } = settings;
  const owner = refreshTokens !== 'off' && refreshTokens.per === 'user' ? { ...parts, clientId: undefined } : parts;
  if (
    refreshTokens !== 'off' &&
    refreshTokens.overflow === 'refuse' &&
    state.ledger.livingOf(owner, now).length >= refreshTokens.max
  ) {
    return json(400, denied, {
      ...event,
      ...denied,
      outcome: 'throttled',
      detail: 'no room for another refresh token',
    });
  }
  if (creation !== 'off') {
    const key = `creation ${parts.clientId} ${parts.user}`;
    if (!state.rateWindows.allows(key, creation, now)) {
      if (settings.throttle !== 'off') return throttled(settings.throttle, event);
      return json(400, denied, { ...event, ...denied, outcome: 'throttled' });
    }
    state.rateWindows.count(key, creation, now);
  }
  if (refreshTokens !== 'off') state.ledger.makeRoom(owner, refreshTokens.max, now);
  return null;
}

function codeRefusalOf(
  { state, incoming, settings, client }: Call,
  code: Code | undefined,
): { error: string; outcome: 'refused' | 'throttled'; detail: string } | null {
  const refused = (error: string, detail: string) => ({ error, outcome: 'refused' as const, detail });
  if (code === undefined || code.profile !== 'zoho') return refused('invalid_code', 'unknown code');
  if (code.dc !== incoming.site.dc) return refused('invalid_client', `the code was made in data centre ${code.dc}`);
  if (code.clientId !== client.clientId) return refused('invalid_code', "another client's code");
  if (code.used) return refused('invalid_code', 'the code was used before');
  if (code.expiresAt <= state.clock.now()) return refused('invalid_code', 'the code expired');
  if (code.overLimit) return { error: 'access_denied', outcome: 'throttled', detail: 'too many codes' };
  if (code.redirectUri !== null && incoming.parameters.get('redirect_uri') !== code.redirectUri) {
    return refused('invalid_redirect_uri', 'another redirect_uri');
  }
  if (code.challenge === null || settings.pkce === 'ignored') return null;
  const verifier = incoming.parameters.get('code_verifier');
  if (verifier === null) return refused('invalid_request', 'code_verifier is missing');
  const fits = (code.challenge.method === 'plain' ? verifier : s256(verifier)) === code.challenge.value;
  return fits ? null : refused(settings.wrongVerifier, 'code_verifier does not fit');
}

function clientCredentials({ state, incoming, settings, client, event }: Call): SimulatorAnswer {
  const { parameters, site } = incoming;
  if (settings.clientCredentials !== 'granted') return zohoError(settings, settings.clientCredentials, event);
  const text = parameters.get('scope') ?? '';
  const scopes = splitScopes(text, 'refused');
  if (scopes.length === 0 || !scopes.every(isKnownScope)) return zohoError(settings, 'invalid_scope', event);
  const soid = parameters.get('soid');
  if (soid === null) return zohoError(settings, 'missing_org_info', event);
  const orgId = /^[A-Za-z]+\.(\d+)$/.exec(soid)?.[1];
  const user = state.registry
    .users()
    .find((each) => each.organizations.some(({ id }) => id === orgId) && each.dc === site.dc);
  if (orgId === undefined) return zohoError(settings, 'invalid_soid', event);
  if (user === undefined) return zohoError(settings, 'invalid_org', event);
  const now = state.clock.now();
  const parts = { profile: 'zoho', dc: site.dc, clientId: client.clientId, user: user.id, scopes, organization: orgId };
  const token = state.ledger.loneAccess(state.ledger.open(parts, now), now);
  return zohoTokens(state, { ...settings, scopeInAnswer: true }, site, token, null, event);
}

/** Counts a refused request towards the throttle if the settings say so. */
function countFailure(state: SimulatorState, settings: ZohoSettings, refreshToken: string | null): void {
  if (refreshToken === null || settings.throttle === 'off' || !settings.throttle.countsFailed) return;
  state.rateWindows.count(`tokens ${refreshToken}`, settings.throttle, state.clock.now());
}

/** Accepts JSON bodies, which are undocumented, if the settings say so. */
function withJsonBody(incoming: Incoming, settings: ZohoSettings): Incoming {
  const isJson = /^application\/json\b/i.test(incoming.headers.get('content-type') ?? '');
  if (!isJson || settings.jsonBody === 'refused') return incoming;
  try {
    const value: unknown = JSON.parse(incoming.bodyText);
    if (typeof value !== 'object' || value === null) return incoming;
    const form = new URLSearchParams();
    for (const [name, field] of Object.entries(value)) if (typeof field === 'string') form.set(name, field);
    const parameters = new URLSearchParams([...incoming.parameters, ...form]);
    return {
      ...incoming,
      form,
      parameters,
      clientId: incoming.clientId ?? parameters.get('client_id'),
      clientSecret: incoming.clientSecret ?? parameters.get('client_secret'),
    };
  } catch {
    return incoming;
  }
}
