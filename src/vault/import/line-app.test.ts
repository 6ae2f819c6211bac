/** The app of an import line: the scopes that it gets, and another client. */
import { describe, expect, it, vi } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { findApp } from '../../storage/statements/apps.ts';
import { clientOf } from '../app/apps.ts';
import { internalsOf } from '../internals.ts';
import { appOfLine } from './line-app.ts';

const key = { tenant: 'acme', provider: 'zoho', account: 'default' };
const app = 'acme-zoho';
const [org, modules] = ['ZohoCRM.org.READ', 'ZohoCRM.modules.ALL'];
const clientSecret = demoClient.secret ?? '';
const client = { provider: key.provider, clientId: demoClient.clientId, dc: 'us', tenants: [key.tenant] };

describe.each(databaseKinds)('scopes for the app of a line, on %s', (kind) => {
  it('are no scopes of its grant, which may gain them', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const { clientId } = demoClient;
    const { refreshToken } = bench.simulator.mintTokens({ clientId, user: 'user@us.example', scopes: [org] });
    const secrets = { client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken };
    const line = { ...key, ...secrets, app_scopes: `${org} ${modules}`, metadata: { dc: 'us' } };
    for await (const result of vault.importLines(JSON.stringify(line))) expect(result.result).toBe('imported');
    expect(await vault.apps.get(app)).toMatchObject({ scopes: [org, modules] });
    expect(await vault.grants.get(key)).toMatchObject({ scopes: [] });
    const wish = { ...key, redirectUri: 'https://app.example/callback', addScopes: [modules] };
    expect(await vault.authorize(wish)).toMatchObject({ keepsRefreshToken: true });
  });

  it('come to an app without scopes, and a secret that is rotated meanwhile stays', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const context = internalsOf(vault).open();
    await vault.apps.put(app, { ...client, clientSecret });
    const redirectUri = 'https://app.example/callback';
    const { providers } = context;
    const require = providers.require.bind(providers);
    // The provider's definition is read after the app and before the change.
    vi.spyOn(providers, 'require').mockImplementationOnce(async (id) => {
      await vault.apps.put(app, { ...client, clientSecret: 'rotated', redirectUri });
      return require(id);
    });
    const line = { app: undefined, clientId: undefined, clientSecret, dc: 'us', scopes: [org] };
    const filled = await appOfLine(context, key, { ...line, replace: false, dryRun: false });
    expect(filled).toMatchObject({ name: app, fills: [org] });
    expect(await vault.apps.get(app)).toMatchObject({ scopes: [org], redirectUri, tenants: [key.tenant] });
    const row = (await findApp(context.store.db, app)) ?? expect.unreachable();
    const { clientSecret: kept } = await clientOf(context, await require(key.provider), row, 'us');
    expect(kept?.reveal()).toBe('rotated');
    // Scopes that the app has stay.
    const again = await appOfLine(context, key, { ...line, scopes: [modules], replace: false, dryRun: false });
    expect(again.fills).toBeUndefined();
    expect(await vault.apps.get(app)).toMatchObject({ scopes: [org] });
  });
});

describe.each(databaseKinds)('a line that replaces the client of its app, on %s', (kind) => {
  it('undoes no change that another caller makes meanwhile', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const context = internalsOf(vault).open();
    await vault.apps.put(app, { ...client, clientSecret, scopes: [org] });
    const redirectUri = 'https://app.example/callback';
    const { providers } = context;
    const require = providers.require.bind(providers);
    vi.spyOn(providers, 'require').mockImplementationOnce(async (id) => {
      await vault.apps.put(app, { ...client, clientSecret: 'rotated', redirectUri, scopes: [org, modules] });
      return require(id);
    });
    const line = { app: undefined, clientId: undefined, clientSecret: 'of-the-line', dc: 'us', scopes: [] };
    const replaced = await appOfLine(context, key, { ...line, replace: true, dryRun: false });
    expect(replaced).toMatchObject({ name: app, replaced: true });
    expect(await vault.apps.get(app)).toMatchObject({ scopes: [org, modules], redirectUri });
    const row = (await findApp(context.store.db, app)) ?? expect.unreachable();
    const { clientSecret: kept } = await clientOf(context, await require(key.provider), row, 'us');
    expect(kept?.reveal()).toBe('of-the-line');
  });

  it('is refused if the app serves others by then', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const context = internalsOf(vault).open();
    await vault.apps.put(app, { ...client, clientSecret });
    const { providers } = context;
    const require = providers.require.bind(providers);
    vi.spyOn(providers, 'require').mockImplementationOnce(async (id) => {
      await vault.apps.remove(app);
      await vault.apps.put(app, { ...client, clientSecret: 'of-others', tenants: ['globex'] });
      return require(id);
    });
    const line = { app: undefined, clientId: undefined, clientSecret: 'of-the-line', dc: 'us', scopes: [] };
    const replaced = appOfLine(context, key, { ...line, replace: true, dryRun: false });
    await expect(replaced).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await vault.apps.get(app)).toMatchObject({ tenants: ['globex'] });
  });
});
