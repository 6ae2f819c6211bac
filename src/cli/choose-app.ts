import { GrantryError } from '../base/errors.ts';
import type { CheckedKey } from '../base/ids.ts';
import { onlyApp } from '../vault/app/only-app.ts';
import type { App, Vault } from '../vault/types.ts';
import { assertProvider } from './known-providers.ts';

/**
 * Chooses the app for a grant: the named one, else by the rule of {@link onlyApp}. The vault applies the same rule again;
 * the command needs the app before, for its redirect URI.
 *
 * @throws {GrantryError} `not_found`, also for a provider that there is not; `invalid_request` when several match
 */
export async function chooseApp(vault: Vault, key: CheckedKey, name: string | undefined): Promise<App> {
  if (name === undefined) {
    const apps = (await vault.apps.list()).filter((app) => app.provider === key.provider);
    if (apps.length === 0) await assertProvider(vault, key.provider);
    return onlyApp(apps, ({ tenants }) => tenants, key);
  }
  return namedApp(vault, name);
}

export async function namedApp(vault: Vault, name: string): Promise<App> {
  const app = await vault.apps.get(name);
  if (app !== null) return app;
  throw new GrantryError('not_found', `There is no app ${name}.`, {
    action: 'Run grantry app list to see the names.',
  });
}
