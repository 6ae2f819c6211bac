import { type AnswerEvent, html, json, type SimulatorAnswer } from '../http/answer.ts';
import { errorPage } from '../http/consent.ts';
import { card, escape } from '../http/markup.ts';
import type { Incoming } from '../state/request.ts';
import { accountsOf } from '../state/sites.ts';
import type { DeviceRequest, SimulatorState } from '../state/state.ts';
import { hex, zohoValue } from '../state/tokens.ts';
import { zohoError, zohoTokens } from './answers.ts';
import { zohoClient } from './client.ts';
import { isKnownScope, splitScopes } from './scopes.ts';

export const devicePagePath = '/oauth/v3/device';
const deviceSeconds = 300;

/** Handles `POST {accounts}/oauth/v3/device/code`: a device requests a code that its user types in elsewhere. */
export function deviceCode(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const { parameters, site } = incoming;
  const settings = state.zoho.for(site.dc, incoming.clientId);
  const event: AnswerEvent = { kind: 'device', outcome: 'invalid', clientId: incoming.clientId ?? undefined };
  const client = state.registry.client(incoming.clientId ?? '');
  if (client === undefined) return zohoError(settings, 'invalid_client', { ...event, outcome: 'client_refused' });
  const scopes = splitScopes(parameters.get('scope') ?? '', settings.spaceSeparatedScopes);
  if (scopes.length === 0 || !scopes.every(isKnownScope)) return zohoError(settings, 'invalid_scope', event);
  const now = state.clock.now();
  for (const old of state.devices.values()) if (old.expiresAt <= now) state.devices.delete(old.deviceCode);
  const request: DeviceRequest = {
    deviceCode: zohoValue(state.random, '1004'),
    userCode: `${hex(state.random, 2)}-${hex(state.random, 2)}`.toUpperCase(),
    clientId: client.clientId,
    dc: site.dc ?? '',
    scopes,
    offline: parameters.get('access_type') === 'offline',
    expiresAt: now + deviceSeconds * 1000,
    lastPoll: null,
    decision: null,
  };
  state.devices.set(request.deviceCode, request);
  const unit = settings.deviceTimes === 'milliseconds' ? 1000 : 1;
  const page = accountsOf(site) + devicePagePath;
  const body = {
    device_code: request.deviceCode,
    user_code: request.userCode,
    verification_url: page,
    verification_uri_complete: `${page}?user_code=${request.userCode}`,
    interval: settings.devicePollSeconds * unit,
    expires_in: deviceSeconds * unit,
  };
  return json(200, body, { ...event, outcome: 'shown' });
}

/** Handles `POST {accounts}/oauth/v3/device/token`: the device polls for the user's decision. */
export function deviceToken(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const { site } = incoming;
  const settings = state.zoho.for(site.dc, incoming.clientId);
  const event: AnswerEvent = {
    kind: 'token',
    outcome: 'invalid',
    grantType: 'device_token',
    clientId: incoming.clientId ?? undefined,
  };
  const client = zohoClient(state, incoming, settings, event);
  if ('status' in client) return client;
  const request = state.devices.get(incoming.parameters.get('code') ?? '');
  const now = state.clock.now();
  if (request === undefined || request.clientId !== client.clientId)
    return zohoError(settings, 'invalid_code', { ...event, outcome: 'refused' });
  if (request.expiresAt <= now) return zohoError(settings, 'expired', { ...event, outcome: 'refused' });
  const tooSoon = request.lastPoll !== null && now - request.lastPoll < settings.devicePollSeconds * 1000;
  request.lastPoll = now;
  if (tooSoon) return zohoError(settings, 'slow_down', { ...event, outcome: 'throttled' });
  const { decision } = request;
  if (decision === null) return zohoError(settings, 'authorization_pending', { ...event, outcome: 'shown' });
  const user = state.registry.user(decision.user);
  if (!decision.accepted || user === undefined)
    return zohoError(settings, 'access_denied', { ...event, outcome: 'declined' });
  if (user.dc !== site.dc)
    return json(200, { error: 'other_dc', user_location: user.dc }, { ...event, error: 'other_dc', user: user.id });
  state.devices.delete(request.deviceCode);
  const family = state.ledger.open(
    { profile: 'zoho', dc: site.dc, clientId: client.clientId, user: user.id, scopes: request.scopes },
    now,
  );
  const pair = state.ledger.firstTokens(family, now, request.offline);
  return zohoTokens(state, settings, site, pair.accessToken, pair.refreshToken, event);
}

/** Handles the page on which the user types the code in and decides. */
export function devicePage(state: SimulatorState, incoming: Incoming): SimulatorAnswer {
  const { parameters, site } = incoming;
  const typed = (parameters.get('user_code') ?? '').trim().toUpperCase();
  const request = [...state.devices.values()].find(
    (each) => each.userCode === typed && each.expiresAt > state.clock.now(),
  );
  const user = state.registry.atBrowser(parameters.get('login_hint'), site.dc);
  if (typed !== '' && (request === undefined || user === undefined))
    return errorPage(400, 'Invalid code', 'No device waits for this code.', null);
  const decision =
    incoming.method === 'POST'
      ? incoming.form.get('decision')
      : state.registry.autoApprove && typed !== ''
        ? 'accept'
        : null;
  const event: AnswerEvent = { kind: 'device', outcome: 'shown', clientId: request?.clientId, user: user?.id };
  if (request === undefined || user === undefined || decision === null)
    return html(200, card('Connect a device', form(typed, request)), event);
  request.decision = { user: user.id, accepted: decision === 'accept' };
  const outcome = decision === 'accept' ? 'ok' : 'declined';
  return html(200, card('Done', '<p>You may close this page and return to your device.</p>'), { ...event, outcome });
}

function form(typed: string, request: DeviceRequest | undefined): string {
  const scopes =
    request === undefined
      ? ''
      : `<p>It would like to:</p><ul>${request.scopes.map((scope) => `<li><code>${escape(scope)}</code></li>`).join('')}</ul>`;
  const buttons =
    request === undefined
      ? '<button class="main">Go on</button>'
      : '<button class="main" name="decision" value="accept">Accept</button><button name="decision" value="decline">Decline</button>';
  return `${scopes}<form method="${request === undefined ? 'get' : 'post'}" action="${devicePagePath}"><label for="code">Code on the device</label>
<input id="code" name="user_code" value="${escape(typed)}" autocomplete="off"><div class="buttons">${buttons}</div></form>`;
}
