import { type AnswerEvent, html, json, type SimulatorAnswer } from '../http/answer.ts';
import { card } from '../http/markup.ts';
import type { IssuedAccessToken, IssuedRefreshToken } from '../state/families.ts';
import type { Site } from '../state/sites.ts';
import type { SimulatorState } from '../state/state.ts';
import { fingerprintOf } from '../state/tokens.ts';
import type { ThrottleSettings, ZohoSettings } from '../state/zoho-settings.ts';
import { apiDomain } from './callback.ts';
import { environmentOf } from './environments.ts';

const descriptions: Readonly<Record<string, string>> = {
  invalid_code: 'The code or the refresh token is not valid.',
  invalid_client: 'The client is not known here.',
  invalid_client_secret: 'The client secret is not valid.',
};

/** Creates an error body, which Zoho mostly sends with status 200. */
export function zohoError(
  settings: ZohoSettings,
  error: string,
  event: AnswerEvent,
  status = settings.errorStatus,
): SimulatorAnswer {
  const told = { ...event, error };
  if (settings.errorBody === 'html') return html(status, card('Error', `<p>${error}</p>`), told);
  const description = settings.errorDescription ? { error_description: descriptions[error] ?? error } : {};
  return json(status, { error, ...description }, told);
}

/** Creates the throttle's answer in one of its three wordings. It never names a time to wait. */
export function throttled(settings: ThrottleSettings, event: AnswerEvent): SimulatorAnswer {
  const description =
    settings.wording === 'old'
      ? 'Token creation throttle limit reached. Please reuse the valid tokens you currently have.'
      : 'You have made too many requests continuously. Please try again after some time.';
  const status = settings.wording === 'full' ? { status: 'failure' } : {};
  return json(
    settings.status,
    { error_description: description, error: 'Access Denied', ...status },
    { ...event, outcome: 'throttled', error: 'Access Denied' },
  );
}

/** Creates the success body of the token endpoint. */
export function zohoTokens(
  state: SimulatorState,
  settings: ZohoSettings,
  site: Site,
  accessToken: IssuedAccessToken,
  refreshToken: IssuedRefreshToken | null,
  event: AnswerEvent,
): SimulatorAnswer {
  const seconds = Math.round((accessToken.expiresAt - state.clock.now()) / 1000);
  const domain = apiDomain(settings, site, environmentOf(state, accessToken.family));
  const body = {
    access_token: accessToken.value,
    ...(refreshToken === null ? {} : { refresh_token: refreshToken.value }),
    ...(settings.scopeInAnswer ? { scope: accessToken.scopes.join(' ') } : {}),
    ...(domain === null ? {} : { api_domain: domain }),
    token_type: 'Bearer',
    ...expiry(settings, seconds),
  };
  return json(200, body, {
    ...event,
    outcome: 'issued',
    family: accessToken.family.id,
    user: accessToken.family.user,
    accessToken: fingerprintOf(accessToken.value),
    successor: refreshToken === null ? undefined : fingerprintOf(refreshToken.value),
  });
}

function expiry(settings: ZohoSettings, seconds: number): Record<string, unknown> {
  if (settings.expiresIn === 'missing') return {};
  if (settings.expiresIn === 'text') return { expires_in: String(seconds) };
  if (settings.expiresIn === 'legacy_milliseconds') return { expires_in_sec: seconds, expires_in: seconds * 1000 };
  return { expires_in: seconds };
}
