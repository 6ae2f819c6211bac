import { GrantryError } from '../base/errors.ts';
import type { CheckedKey } from '../base/ids.ts';
import type { App, Vault } from '../vault/types.ts';

/**
 * The app that is meant: the one named, else the provider's app for that tenant, else the provider's only app.
 *
 * The vault applies the same rule again; here it is needed beforehand, for the redirect URI.
 *
 * @throws {GrantryError} `not_found`; `invalid_request` when several could be meant
 */
export async function chooseApp(vault: Vault, key: CheckedKey, name: string | undefined): Promise<App> {
  if (name !== undefined) {
    const app = await vault.apps.get(name);
    if (app !== null) return app;
    throw new GrantryError('not_found', `There is no app ${name}.`, { action: 'See grantry app list.' });
  }
  const all = (await vault.apps.list()).filter((app) => app.provider === key.provider);
  const own = all.filter((app) => app.tenants?.includes(key.tenant));
  const candidates = own.length > 0 ? own : all.filter((app) => app.tenants === null);
  const [app, ...others] = candidates;
  if (app === undefined) {
    throw new GrantryError('not_found', `There is no app for ${key.provider} that serves ${key.tenant}.`, {
      action: `Add one: grantry app add NAME --provider ${key.provider} --client-id ID --client-secret-file FILE`,
    });
  }
  if (others.length > 0) {
    const names = candidates.map((candidate) => candidate.name).join(', ');
    throw new GrantryError('invalid_request', `Several apps for ${key.provider} could be meant: ${names}.`, {
      action: 'Name one with --app.',
    });
  }
  return app;
}
