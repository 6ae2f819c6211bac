import { type AnswerEvent, json, type SimulatorAnswer } from '../http/answer.ts';
import { revokeFamily, spend, type TokenPair } from '../state/families.ts';
import type { OAuthProfile } from '../state/profiles.ts';
import { type SimulatorClient, secretOf } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { Code, SimulatorState } from '../state/state.ts';
import { fingerprintOf, s256 } from '../state/tokens.ts';

/** A token request of a known client. */
interface Call {
  readonly state: SimulatorState;
  readonly incoming: Incoming;
  readonly profile: OAuthProfile;
  readonly client: SimulatorClient;
  readonly event: AnswerEvent;
}

/** Handles the token endpoint: RFC 6749 sections 4.1.3, 5 and 6. */
export function oauthToken(state: SimulatorState, incoming: Incoming, profile: OAuthProfile): SimulatorAnswer {
  const grantType = incoming.form.get('grant_type') ?? '';
  const presented = incoming.form.get('refresh_token');
  const event: AnswerEvent = {
    kind: 'token',
    outcome: 'invalid',
    grantType,
    clientId: incoming.clientId ?? undefined,
    token: presented === null ? undefined : fingerprintOf(presented),
  };
  if (incoming.method !== 'POST') return refuse(405, 'invalid_request', 'only POST', event);
  const client = authenticated(state, incoming);
  if (client === null)
    return refuse(401, 'invalid_client', 'client authentication failed', { ...event, outcome: 'client_refused' });
  const call: Call = { state, incoming, profile, client, event };
  if (grantType === 'authorization_code') return exchange(call);
  if (grantType === 'refresh_token') return refresh(call);
  return refuse(400, grantType === '' ? 'invalid_request' : 'unsupported_grant_type', 'grant_type', event);
}

/** Handles the revocation endpoint (RFC 7009): an unknown token is no error. */
export function oauthRevoke(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const value = incoming.form.get('token') ?? '';
  const event: AnswerEvent = {
    kind: 'revoke',
    outcome: 'invalid',
    clientId: incoming.clientId ?? undefined,
    token: fingerprintOf(value),
  };
  const client = authenticated(state, incoming);
  if (client === null)
    return refuse(401, 'invalid_client', 'client authentication failed', { ...event, outcome: 'client_refused' });
  const family = state.ledger.findRefresh(value)?.family;
  const access = state.ledger.findAccess(value);
  if (family?.clientId === client.clientId && family.profile === incoming.site.profile)
    revokeFamily(family, 'it was revoked');
  else if (access?.family.clientId === client.clientId) access.dead ??= 'it was revoked';
  return json(200, {}, { ...event, outcome: 'revoked', family: (family ?? access?.family)?.id });
}

function exchange(call: Call): SimulatorAnswer {
  const { state, incoming, profile, client, event } = call;
  const code = state.codes.get(incoming.form.get('code') ?? '');
  const reason = refusalOf(call, code);
  if (code === undefined || reason !== null)
    return refuse(400, 'invalid_grant', reason ?? 'unknown code', { ...event, outcome: 'refused' });
  code.used = true;
  const now = state.clock.now();
  const parts = { profile: profile.id, dc: null, clientId: client.clientId, user: code.user, scopes: code.scopes };
  if (profile.livePerUserAndClient !== null) state.ledger.makeRoom(parts, profile.livePerUserAndClient, now);
  const pair = state.ledger.firstTokens(state.ledger.open(parts, now), now, code.withRefreshToken);
  return issue({ ...call, event: { ...event, user: code.user } }, pair, pair.refreshToken !== null);
}

function refusalOf({ state, incoming, client }: Call, code: Code | undefined): string | null {
  if (code === undefined || code.profile !== incoming.site.profile) return 'unknown code';
  if (code.clientId !== client.clientId) return 'the code belongs to another client';
  if (code.used) return 'the code was used before';
  if (code.expiresAt <= state.clock.now()) return 'the code expired';
  if (code.redirectUri !== null && incoming.form.get('redirect_uri') !== code.redirectUri)
    return 'another redirect_uri';
  if (code.challenge === null) return null;
  const verifier = incoming.form.get('code_verifier') ?? '';
  return (code.challenge.method === 'plain' ? verifier : s256(verifier)) === code.challenge.value
    ? null
    : 'code_verifier does not fit';
}

function refresh(call: Call): SimulatorAnswer {
  const { state, incoming, profile, client, event } = call;
  const found = state.ledger.findRefresh(incoming.form.get('refresh_token') ?? '');
  if (found === undefined || found.family.profile !== profile.id || found.family.clientId !== client.clientId) {
    return refuse(400, 'invalid_grant', 'unknown refresh token', { ...event, outcome: 'refused' });
  }
  const { family } = found;
  const spent = spend(found, state.ledger.mintOf(family), state.clock.now());
  const told: AnswerEvent = { ...event, family: family.id, user: family.user, replay: spent.replay || undefined };
  if (spent.kind === 'refused') return refuse(400, 'invalid_grant', spent.reason, { ...told, outcome: 'refused' });
  state.ledger.remember(spent.pair);
  return issue({ ...call, event: told }, spent.pair, spent.rotated);
}

function issue({ state, incoming, profile, event }: Call, pair: TokenPair, withRefresh: boolean): SimulatorAnswer {
  const { accessToken, refreshToken } = pair;
  const orgId = state.registry.user(accessToken.family.user)?.orgId ?? '';
  const extras = Object.entries(profile.tokenExtras).map(([name, text]) => [
    name,
    text.replace('{origin}', incoming.site.origin).replace('{orgId}', orgId),
  ]);
  const seconds = Math.max(0, Math.round((accessToken.expiresAt - state.clock.now()) / 1000));
  const body = {
    access_token: accessToken.value,
    token_type: 'Bearer',
    ...(profile.expiresIn === 'missing' ? {} : { expires_in: seconds }),
    ...(withRefresh && refreshToken !== null ? { refresh_token: refreshToken.value } : {}),
    scope: accessToken.scopes.join(profile.scopeSeparator),
    ...Object.fromEntries(extras),
  };
  return json(200, body, {
    ...event,
    outcome: 'issued',
    family: accessToken.family.id,
    successor: withRefresh && refreshToken !== null ? fingerprintOf(refreshToken.value) : undefined,
    accessToken: fingerprintOf(accessToken.value),
  });
}

function refuse(status: number, error: string, description: string, event: AnswerEvent): SimulatorAnswer {
  return json(status, { error, error_description: description }, { ...event, error, detail: description });
}

/** Returns the client if it exists and its secret is right, sent in the form or by Basic. */
function authenticated(state: SimulatorState, incoming: Incoming): SimulatorClient | null {
  const client = state.registry.client(incoming.clientId ?? '');
  if (client === undefined) return null;
  const secret = secretOf(client, incoming.site.dc);
  return secret === null || secret === incoming.clientSecret ? client : null;
}
