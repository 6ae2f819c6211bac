import { type AppRow, findApp, putApp } from '../../storage/statements/apps.ts';
import { lockApp } from '../../storage/statements/standing.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import { openSecrets, pinSystemKeys, sealSecrets } from './secrets.ts';

/**
 * Gives scopes to an app that has none, and changes nothing else: all other members are read under the app's lock, so a
 * secret that was rotated meanwhile stays.
 *
 * @param seen the app as the caller read it; an app that got scopes or another client since stays as it is
 * @returns false if the app stays as it is
 */
export async function fillScopes(context: VaultContext, seen: AppRow, scopes: readonly string[]): Promise<boolean> {
  const system = await pinSystemKeys(context);
  return changing(context, async ({ tx, recordOther }) => {
    await lockApp(tx, seen.name, 'update');
    const old = await findApp(tx, seen.name);
    if (old === undefined || old.scopes !== '[]' || !isSameClient(old, seen)) return false;
    const generation = old.generation + 1;
    const row = { ...old, generation, scopes: JSON.stringify(scopes), updated_at: context.world.now() };
    // A seal binds the row's generation.
    await putApp(tx, { ...row, client_secrets: sealSecrets(system, row, openSecrets(system, old)) });
    recordOther({ type: 'app.put', provider: old.provider, details: { app: old.name, generation } });
    return true;
  });
}

function isSameClient(one: AppRow, other: AppRow): boolean {
  return one.provider === other.provider && one.client_id === other.client_id && one.tenants === other.tenants;
}
