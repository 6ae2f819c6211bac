import { type AnswerEvent, json, redirect, type SimulatorAnswer, withQuery } from '../http/answer.ts';
import { consentPage, errorPage } from '../http/consent.ts';
import { deathOf } from '../state/families.ts';
import { isRedirectUriOf } from '../state/registry.ts';
import type { Incoming } from '../state/request.ts';
import type { SimulatorState } from '../state/state.ts';
import { fingerprintOf, zohoValue } from '../state/tokens.ts';
import { zohoError } from './answers.ts';
import { zohoClient } from './client.ts';
import { isKnownScope, splitScopes } from './scopes.ts';

export const enhancePagePath = '/oauth/v2/token/addextrascope';
const enhanceSeconds = 600;

/** Handles `POST {accounts}/oauth/v2/token/scopeenhance`: the first step to add scopes to an existing refresh token. */
export function enhanceToken(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const { parameters, site } = incoming;
  const settings = state.zoho.for(site.dc, incoming.clientId);
  const value = parameters.get('refresh_token') ?? '';
  const event: AnswerEvent = {
    kind: 'token',
    outcome: 'invalid',
    grantType: 'update_scopes_token',
    clientId: incoming.clientId ?? undefined,
    token: fingerprintOf(value),
  };
  const client = zohoClient(state, incoming, settings, event);
  if ('status' in client) return client;
  if (settings.scopeEnhancement === 'refused' || parameters.get('grant_type') !== 'update_scopes_token')
    return zohoError(settings, 'invalid_request', event);
  const found = state.ledger.findRefresh(value);
  const now = state.clock.now();
  const good =
    found !== undefined &&
    found.family.clientId === client.clientId &&
    found.family.dc === site.dc &&
    deathOf(found, state.ledger.mintOf(found.family), now) === null;
  if (!good) return zohoError(settings, 'invalid_code', { ...event, outcome: 'refused' });
  const token = zohoValue(state.random);
  for (const old of state.enhancements.values()) if (old.expiresAt <= now) state.enhancements.delete(old.token);
  state.enhancements.set(token, {
    token,
    refreshToken: value,
    clientId: client.clientId,
    expiresAt: now + enhanceSeconds * 1000,
  });
  // The page of Zoho's documentation calls the token for the consent page `access_token`.
  const body = { access_token: token, token_type: 'Bearer', expires_in: enhanceSeconds };
  return json(200, body, { ...event, outcome: 'ok', family: found.family.id });
}

/**
 * Handles `GET {accounts}/oauth/v2/token/addextrascope` and the `POST` of its consent page: the existing refresh token
 * gains the scopes.
 */
export function addExtraScope(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const { parameters, site } = incoming;
  const clientId = parameters.get('client_id');
  const settings = state.zoho.for(site.dc, clientId);
  const client = state.registry.client(clientId ?? '');
  const redirectUri = parameters.get('redirect_uri') ?? '';
  const wrong = (title: string, text: string) => errorPage(settings.errorPageStatus, title, text, clientId);
  if (client === undefined || parameters.get('response_type') !== 'update_scopes')
    return wrong('Invalid Client', 'The client ID passed does not exist.');
  if (!isRedirectUriOf(client, redirectUri))
    return wrong('Invalid Redirect Uri', 'The redirect URI passed does not match the one configured.');
  const scopes = splitScopes(parameters.get('scope') ?? '', settings.spaceSeparatedScopes);
  if (scopes.length === 0 || !scopes.every(isKnownScope))
    return wrong('Invalid OAuth scope', 'The scope is missing or does not exist.');
  const enhancement = state.enhancements.get(parameters.get('enhance_token') ?? '');
  const family =
    enhancement === undefined || enhancement.expiresAt <= state.clock.now()
      ? undefined
      : state.ledger.findRefresh(enhancement.refreshToken)?.family;
  const user = state.registry.user(family?.user ?? '');
  if (
    enhancement === undefined ||
    family === undefined ||
    user === undefined ||
    enhancement.clientId !== client.clientId
  ) {
    return wrong('Invalid Request', 'The enhance_token is not valid.');
  }
  const decision =
    incoming.method === 'POST' ? incoming.form.get('decision') : state.registry.autoApprove ? 'accept' : null;
  if (decision === null) return consentPage(state, incoming, enhancePagePath, user, scopes);
  const accepted = decision === 'accept';
  if (accepted) {
    state.enhancements.delete(enhancement.token);
    family.scopes = [...new Set([...family.scopes, ...scopes])];
  }
  const echo = parameters.get('state');
  const back: [string, string][] = [
    accepted ? ['status', 'success'] : ['error', 'access_denied'],
    ...(accepted ? [['scope_enhanced', 'true'] satisfies [string, string]] : []),
    ...(echo === null ? [] : [['state', echo] satisfies [string, string]]),
  ];
  return redirect(withQuery(redirectUri, back), {
    kind: 'authorize',
    outcome: accepted ? 'ok' : 'declined',
    clientId: client.clientId,
    user: user.id,
    family: family.id,
    detail: 'scopes added',
  });
}
