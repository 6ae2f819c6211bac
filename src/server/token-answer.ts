import type { GrantKey } from '../base/ids.ts';
import { tokenItem } from '../vault/items.ts';
import type { AccessToken } from '../vault/types.ts';
import type { ServerContext } from './context.ts';

/** Gets a token and writes it as the routes answer it. The hot route and the described one share this. */
export async function tokenBody(
  context: ServerContext,
  key: GrantKey,
  minValidity: number | undefined,
): Promise<string> {
  const token = await context.vault().getAccessToken(key, minValidity === undefined ? undefined : { minValidity });
  return writeToken(token, context.world.now());
}

export function writeToken(token: AccessToken, nowMs: number): string {
  return JSON.stringify(tokenItem(token, nowMs));
}
