import { z } from 'zod';
import { createSimulator, demoClient, type Simulator, type SimulatorOptions } from '../../src/simulator/index.ts';

export const redirectUri = 'https://app.example/callback';
export const scope = 'ZohoCRM.modules.ALL,ZohoCRM.org.READ';

/** Creates a simulated Zoho whose clock only moves when told and whose users always consent. */
export function zoho(options: SimulatorOptions = {}): Simulator {
  return createSimulator({ now: () => 1_000_000, autoApprove: true, ...options });
}

/** Sends a browser to the authorization endpoint. */
export async function authorize(
  simulator: Simulator,
  change: Record<string, string | null> = {},
  host = 'accounts.zoho.com',
) {
  const defaults = {
    response_type: 'code',
    client_id: demoClient.clientId,
    redirect_uri: redirectUri,
    scope,
    access_type: 'offline',
    state: 's t',
  };
  const parameters = Object.entries({ ...defaults, ...change }).flatMap(([name, value]) =>
    value === null ? [] : [[name, value] satisfies [string, string]],
  );
  const response = await simulator.fetch(
    new Request(`https://${host}/oauth/v2/auth?${new URLSearchParams(parameters).toString()}`),
  );
  const location = response.headers.get('location');
  return { response, location, callback: location === null ? new URLSearchParams() : new URL(location).searchParams };
}

/** Posts a form as the demo client. */
export async function post(
  simulator: Simulator,
  fields: Record<string, string>,
  url = 'https://accounts.zoho.com/oauth/v2/token',
) {
  const all = { client_id: demoClient.clientId, client_secret: demoClient.secret ?? '', ...fields };
  const response = await simulator.fetch(new Request(url, { method: 'POST', body: new URLSearchParams(all) }));
  const body = z.record(z.string(), z.unknown()).parse(await response.json());
  return { status: response.status, body };
}

export const exchange = (simulator: Simulator, code: string, more: Record<string, string> = {}, url?: string) =>
  post(simulator, { grant_type: 'authorization_code', code, redirect_uri: redirectUri, ...more }, url);
export const refresh = (simulator: Simulator, token: unknown, url?: string) =>
  post(simulator, { grant_type: 'refresh_token', refresh_token: String(token) }, url);

/** Creates a grant for CRM at once. */
export function mint(simulator: Simulator, user = 'user@us.example') {
  return simulator.mintTokens({ clientId: demoClient.clientId, user, scopes: scope.split(',') });
}
