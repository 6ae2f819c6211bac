import type { Acting } from '../../base/acting.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { AccessToken } from '../../schemas/token.ts';
import { secondsUntil, tokenToJson } from '../../schemas/write-json.ts';
import { accessTokenOf, type HeldToken } from '../../vault/hand-out/token-cache.ts';
import { internalsOf } from '../../vault/internals.ts';
import type { ServerContext } from '../context.ts';

/** Gets a token and writes it as the routes answer it. The hot route and the described one share this. */
export async function tokenBody(
  context: ServerContext,
  key: GrantKey,
  minValidity: number | undefined,
): Promise<string> {
  const token = await context.vault().getAccessToken(key, { minValidity });
  return writeToken(token, context.world.now());
}

/** The written form of each token in memory; only the rest of its life changes from answer to answer. */
const written = new WeakMap<HeldToken, readonly [before: string, after: string]>();

/** Answers at once while the token is in memory and good for the default validity; otherwise undefined. */
export function heldBody(context: ServerContext, key: GrantKey, acting: Acting): string | undefined {
  const { handOut, open } = internalsOf(context.vault());
  open();
  if (handOut.mustWait) return undefined;
  const held = handOut.held(key);
  if (held === undefined) return undefined;
  handOut.tell('token.handed_out', key, held, acting);
  let parts = written.get(held);
  if (parts === undefined) {
    const { access_token, token_type, expires_at, expires_in: _left, ...rest } = tokenToJson(accessTokenOf(held), 0);
    const before = JSON.stringify({ access_token, token_type, expires_at });
    parts = [`${before.slice(0, -1)},"expires_in":`, `,${JSON.stringify(rest).slice(1)}`];
    written.set(held, parts);
  }
  return parts[0] + secondsUntil(held.expiresAtMs, context.world.now()) + parts[1];
}

export function writeToken(token: AccessToken, nowMs: number): string {
  return JSON.stringify(tokenToJson(token, nowMs));
}
