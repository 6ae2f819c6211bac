import type { Environment } from '../state/organizations.ts';
import { accountsOf, apiOf, type Site } from '../state/sites.ts';
import type { SimulatorState } from '../state/state.ts';
import type { ZohoSettings } from '../state/zoho-settings.ts';

/** Builds the success callback: code, location, accounts-server and state, changed as the settings say. */
export function callbackUrl(
  settings: ZohoSettings,
  site: Site,
  redirectUri: string,
  code: string,
  state: string | null,
): string {
  const { callback } = settings;
  const parts: [string, string][] = [['code', encodeURIComponent(code)]];
  const location = chosen(callback.location, site.dc ?? '');
  if (location !== null) parts.push(['location', encodeURIComponent(location)]);
  const accounts = chosen(callback.accountsServer, accountsOf(site));
  if (accounts !== null)
    parts.push(['accounts-server', callback.accountsServer === 'plain' ? accounts : encodeURIComponent(accounts)]);
  const echoed = state === null ? null : chosen(callback.state, state);
  if (echoed !== null) parts.push(['state', encodeURIComponent(echoed)]);
  for (const name of callback.duplicate) {
    const first = parts.find(([each]) => each === name);
    if (first !== undefined) parts.push(first);
  }
  const query = parts.map(([name, value]) => `${name}=${value}`).join('&');
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${query}${callback.trailingAmpersand ? '&' : ''}`;
}

/** Returns the `api_domain` of a token answer; `null` leaves it out. */
export function apiDomain(settings: ZohoSettings, site: Site, environment: Environment): string | null {
  const api = apiOf(site, settings.environmentDomain === 'own' ? environment : 'production');
  if (settings.apiDomain === 'missing') return null;
  if (settings.apiDomain === 'trailing_slash') return `${api}/`;
  if (settings.apiDomain === 'accounts_style') return accountsOf(site).replace('//accounts.', '//api.');
  return settings.apiDomain === 'normal' ? api : settings.apiDomain.value;
}

/** Answers `GET /oauth/serverinfo`: every data centre's accounts server. */
export function serverInfo(
  state: SimulatorState,
  settings: ZohoSettings,
): { result: string; locations: Record<string, string> } {
  const known = state.sites
    .list()
    .flatMap((site) => (site.zoho === null || site.dc === null ? [] : [[site.dc, accountsOf(site)] as const]));
  const locations: Record<string, string> = { ...Object.fromEntries(known), ...settings.serverInfo.extra };
  for (const dc of settings.serverInfo.missing) delete locations[dc];
  return { result: 'success', locations };
}

function chosen(setting: string | { readonly value: string }, value: string): string | null {
  if (setting === 'missing') return null;
  return typeof setting === 'object' ? setting.value : value;
}
