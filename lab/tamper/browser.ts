import { z } from 'zod';
import { type Holder, returnTo } from './place.ts';
import { call, type Round } from './round.ts';

const sessionSchema = z.object({ id: z.string(), url: z.string() });

/** A link for a user: who makes it, for whom, and what becomes of it. */
export interface Link {
  readonly holder: Holder;
  /** The tenant that the user belongs to, which the link may hide. */
  readonly user: string;
  readonly tenant: string;
  readonly provider: string;
  readonly account: string;
  /** Undefined for a session that the callback completes. */
  readonly returnTo?: string;
}

/** Connection rows that decide about a flow that is under way. */
const tables = ['grantry_connect_sessions', 'grantry_authorizations', 'grantry_apps'];

/**
 * Makes a link, goes through it as a user's browser does, and completes it as the tenant's backend. The attacker strikes
 * between the steps. Returns true if the grant was stored.
 */
export async function connectThroughBrowser(round: Round, link: Link): Promise<boolean> {
  const { holder, user, tenant, provider, account } = link;
  const named = link.returnTo === undefined ? {} : { return_to: link.returnTo, user: `user-of-${user}` };
  const input = { tenant, provider, account, app: provider, ...named };
  const made = await call(round, 'POST', '/v1/connect-sessions', holder, input);
  if (made.status !== 201) return false;
  const { id, url } = sessionSchema.parse(JSON.parse(made.text));
  await round.attack(tables);
  const started = await pressButton(round, new URL(url).pathname);
  if (started === null) return false;
  await round.attack(tables);
  const back = await consent(round, { user, provider, url: started.url });
  if (back === null) return false;
  await round.attack(tables);
  const came = await call(round, 'GET', `${back.pathname}${back.search}`, null, undefined, { cookie: started.cookie });
  const location = came.headers.get('location');
  if (location === null) return false;
  if (link.returnTo === undefined) return came.status === 303 && location.endsWith(`/connect/sessions/${id}`);
  return complete(round, link, { id, location });
}

/** Opens the page of a link and sends its form. Returns where the browser goes next. */
async function pressButton(round: Round, path: string): Promise<{ url: string; cookie: string } | null> {
  const page = await call(round, 'GET', path, null);
  const cookie = page.headers.get('set-cookie')?.split(';')[0];
  const proof = /name="proof" value="([^"]+)"/.exec(page.text)?.[1];
  if (cookie === undefined || proof === undefined) return null;
  await round.attack(tables);
  const started = await call(round, 'POST', path, null, `proof=${encodeURIComponent(proof)}`, { cookie });
  const url = started.headers.get('location');
  return url === null ? null : { url, cookie };
}

/** Lets a user consent at the provider. The code belongs to the user, and to the provider that issued it. */
export async function consent(
  { place }: Round,
  { user, provider, url }: { user: string; provider: string; url: string },
): Promise<URL | null> {
  if (new URL(url).origin !== place.origin(provider)) {
    place.hosts.violations.add(`a user of ${provider} was sent to ${new URL(url).origin}`);
    return null;
  }
  const answer = await place.simulator.fetch(new Request(url, { redirect: 'manual' }));
  const location = answer.headers.get('location');
  if (location === null) return null;
  const back = new URL(location);
  const code = back.searchParams.get('code');
  if (code === null) return null;
  place.hosts.own(code, { kind: 'code', tenant: user, origin: place.origin(provider) });
  return back;
}

/** Completes a session as the backend at its return_to, which gets the completion code. */
async function complete(
  round: Round,
  { holder, user }: Link,
  { id, location }: { id: string; location: string },
): Promise<boolean> {
  const to = new URL(location);
  const code = to.searchParams.get('code');
  if (code === null) return false;
  if (!location.startsWith(returnTo)) {
    round.place.hosts.violations.add(`the completion code of a user of ${user} was sent to ${to.origin}`);
  }
  await round.attack(tables);
  const body = { completion_code: code, user: `user-of-${user}` };
  return (await call(round, 'POST', `/v1/connect-sessions/${id}/complete`, holder, body)).status === 200;
}
