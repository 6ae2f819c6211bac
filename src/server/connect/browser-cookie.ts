import { createHmac, timingSafeEqual } from 'node:crypto';
import { newRandomText } from '../../base/ids.ts';
import type { World } from '../../base/world.ts';

/**
 * The cookie that identifies a browser when it comes back from the provider. With this prefix browsers only take the cookie
 * from this host, over https or loopback.
 */
const name = '__Host-grantry_browser';
const lifeSeconds = 86_400;

/** Reads the secret from a request's cookie; `null` when there is none, or one of another form. */
export function readBrowser(request: Request): string | null {
  const sent = (request.headers.get('cookie') ?? '').split(';').map((cookie) => cookie.trim());
  const values = sent.filter((cookie) => cookie.startsWith(`${name}=`)).map((cookie) => cookie.slice(name.length + 1));
  const [value] = values;
  // A browser sends it once. Of two cookies, one was set by another site.
  return values.length === 1 && value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : null;
}

/** Makes the secret of a new browser: 256 random bits. */
export function newBrowser(world: World): string {
  return newRandomText(world);
}

export function browserCookie(browser: string): string {
  return `${name}=${browser}; Path=/; Max-Age=${lifeSeconds}; Secure; HttpOnly; SameSite=Lax`;
}

/** The proof in the form of one link in one browser: other sites can neither read nor guess it. */
export function formProof(browser: string, token: string): string {
  return createHmac('sha256', browser).update(token).digest('base64url');
}

export function isFormProof(browser: string, token: string, given: string | undefined): boolean {
  const expected = Buffer.from(formProof(browser, token));
  const got = Buffer.from(given ?? '');
  return got.length === expected.length && timingSafeEqual(got, expected);
}
