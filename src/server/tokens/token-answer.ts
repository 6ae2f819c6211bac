import type { GrantKey } from '../../base/ids.ts';
import { accessTokenOf, type HeldToken } from '../../vault/hand-out/token-cache.ts';
import { internalsOf } from '../../vault/internals.ts';
import { tokenItem } from '../../vault/json.ts';
import type { AccessToken } from '../../vault/types.ts';
import type { ServerContext } from '../context.ts';

/** Gets a token and writes it as the routes answer it. The hot route and the described one share this. */
export async function tokenBody(
  context: ServerContext,
  key: GrantKey,
  minValidity: number | undefined,
): Promise<string> {
  const token = await context.vault().getAccessToken(key, minValidity === undefined ? undefined : { minValidity });
  return writeToken(token, context.world.now());
}

/** A token that is held is written once: only what is left of its life changes. */
const written = new WeakMap<HeldToken, readonly [before: string, after: string]>();

/** The same, at once, while the token is held in memory and good for the usual time. */
export function heldBody(context: ServerContext, key: GrantKey): string | undefined {
  const { handOut, open } = internalsOf(context.vault());
  open();
  const held = handOut.held(key);
  if (held === undefined) return undefined;
  let parts = written.get(held);
  if (parts === undefined) {
    const { expires_in: _left, ...item } = tokenItem(accessTokenOf(held), 0);
    const { access_token, token_type, expires_at, ...rest } = item;
    const before = JSON.stringify({ access_token, token_type, expires_at });
    parts = [`${before.slice(0, -1)},"expires_in":`, `,${JSON.stringify(rest).slice(1)}`];
    written.set(held, parts);
  }
  const left = Math.max(0, Math.floor((held.expiresAtMs - context.world.now()) / 1_000));
  return parts[0] + left + parts[1];
}

export function writeToken(token: AccessToken, nowMs: number): string {
  return JSON.stringify(tokenItem(token, nowMs));
}
