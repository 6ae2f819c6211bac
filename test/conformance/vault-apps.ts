/** The cases of a vault's apps and providers, for a vault in this process and for a client of a server. */
import { expect } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { demoClient } from '../../src/simulator/index.ts';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from '../support/bench.ts';
import { refuses } from '../support/refuses.ts';

interface Setup {
  readonly bench: Bench;
  readonly vault: Vault;
  readonly remote: boolean;
}

type Cases<Method extends string> = Readonly<Record<Method, Readonly<Record<string, (setup: Setup) => Promise<void>>>>>;

const app = { provider: 'strict', clientId: demoClient.clientId, clientSecret: demoClient.secret ?? 'none' };

export const appCases = {
  'apps.put': {
    'keeps every member': async ({ vault }) => {
      const input = {
        provider: 'zoho_crm',
        clientId: '1000.A',
        clientSecrets: { us: new Secret('us-secret'), eu: 'eu-secret' },
        dc: 'eu',
        redirectUri: 'https://app.example/callback',
        scopes: ['ZohoCRM.modules.ALL'],
        tenants: ['acme'],
        returnTo: ['https://app.example/done'],
        scopeReasons: { 'ZohoCRM.modules.ALL': 'Syncs every module.' },
        pkce: 'off' as const,
      };
      const { warnings, ...put } = await vault.apps.put('crm', input);
      expect(warnings).toEqual([]);
      expect(put).toEqual({
        name: 'crm',
        provider: 'zoho_crm',
        clientId: '1000.A',
        dc: 'eu',
        redirectUri: 'https://app.example/callback',
        scopes: ['ZohoCRM.modules.ALL'],
        tenants: ['acme'],
        returnTo: ['https://app.example/done'],
        secrets: ['eu', 'us'],
        scopeReasons: { 'ZohoCRM.modules.ALL': 'Syncs every module.' },
        scopesWithoutReason: [],
        pkce: 'off',
        callbackId: null,
      });
      expect(await vault.apps.get('crm')).toEqual(put);
    },
    'names a callback id for an app without a redirect URI': async ({ vault, remote }) => {
      const { redirectUri, callbackId, ...rest } = await vault.apps.put('plain', app);
      expect(rest).toMatchObject({ scopes: [], tenants: null, returnTo: [], secrets: ['*'], dc: null });
      expect(callbackId).toMatch(/^[\w-]{22}$/);
      // The one documented difference: a server names its own address, a vault has none.
      if (remote) expect(redirectUri).toMatch(new RegExp(`^http://.*/oauth/callback/${callbackId}$`));
      else expect(redirectUri).toBe(null);
    },
    'tells what it noticed about scopes, and lists broad ones without a reason': async ({ vault }) => {
      const zoho = { ...app, provider: 'zoho_crm', dc: 'us' };
      const { warnings } = await vault.apps.put('wide', {
        ...zoho,
        scopes: ['ZohoCRM.modules.ALL', 'ZohoCRM.orgg.READ'],
      });
      expect(warnings.map(({ kind, suggestion }) => [kind, suggestion ?? null])).toEqual([
        ['broad', null],
        ['misspelt', 'ZohoCRM.org.READ'],
      ]);
      expect((await vault.apps.get('wide'))?.scopesWithoutReason).toEqual(['ZohoCRM.modules.ALL']);
      await refuses(vault.apps.put('wide', { ...zoho, scopes: ['ZohoCRM.*'] }), 'invalid_request');
    },
    'keeps the secret of a replaced app': async ({ vault }) => {
      await vault.apps.put('plain', app);
      const { clientSecret: _secret, ...without } = app;
      expect((await vault.apps.put('plain', { ...without, scopes: ['read'] })).secrets).toEqual(['*']);
    },
    'refuses what is no app': async ({ vault }) => {
      await refuses(vault.apps.put('plain', { ...app, redirectUri: 'ftp://x' }), 'invalid_request');
      await refuses(vault.apps.put('plain', { ...app, provider: 'unknown' }), 'not_found');
      await refuses(vault.apps.put('not a name', app), 'invalid_request');
      await refuses(vault.apps.put('plain', [] as never), 'invalid_request');
    },
  },
  'apps.get': {
    'returns null for an unknown app': async ({ vault }) => expect(await vault.apps.get('nothing')).toBe(null),
  },
  'apps.list': {
    'lists every app': async ({ vault }) => {
      await vault.apps.put('b', app);
      await vault.apps.put('a', { ...app, provider: 'none' });
      expect((await vault.apps.list()).map(({ name, provider }) => `${name} ${provider}`)).toEqual([
        'a none',
        'b strict',
      ]);
    },
  },
  'apps.slots': {
    'counts the refresh tokens where the provider keeps few, and names the grant that ends first': async ({
      vault,
      bench,
    }) => {
      await bench.addApp(vault, 'zoho_crm');
      expect(await vault.apps.slots('zoho_crm')).toEqual([]);
      const metadata = { dc: 'us', user_id: '7' };
      for (const tenant of ['acme', 'globex'])
        await vault.storeTokens({ tenant, provider: 'zoho_crm' }, { refreshToken: `of-${tenant}`, metadata });
      const next = { tenant: 'acme', provider: 'zoho_crm', account: 'default' };
      const counted = { app: 'zoho_crm', provider: 'zoho_crm', user: '7', dc: 'us', tokens: 2, upTo: 2, max: 20 };
      expect(await vault.apps.slots('zoho_crm')).toEqual([
        { ...counted, filling: false, next, nextConsentedAt: expect.any(Date) },
      ]);
      await vault.disconnect({ tenant: 'acme', provider: 'zoho_crm' }, { revoke: false });
      // It is left alive, so it goes on taking its place.
      expect(await vault.apps.slots('zoho_crm')).toMatchObject([{ tokens: 2, next: null }]);
    },
    'refuses an unknown app': async ({ vault }) => refuses(vault.apps.slots('nothing'), 'not_found'),
  },
  'apps.remove': {
    'removes an app': async ({ vault }) => {
      await vault.apps.put('plain', app);
      await vault.apps.remove('plain');
      expect(await vault.apps.get('plain')).toBe(null);
    },
    'refuses an app in use and an unknown one': async ({ vault, bench }) => {
      await bench.connect(vault);
      await refuses(vault.apps.remove('strict'), 'invalid_request');
      await refuses(vault.apps.remove('nothing'), 'not_found');
    },
  },
} satisfies Cases<`apps.${keyof Vault['apps']}`>;

export const providerCases = {
  'providers.put': {
    'adds and replaces a custom provider': async ({ vault, bench }) => {
      const definition = { ...bench.simulator.definition('strict'), id: 'mine', name: 'Mine' };
      const put = await vault.providers.put(definition);
      expect(put).toMatchObject({ id: 'mine', name: 'Mine', clientAuthentication: expect.any(String) });
      expect(await vault.providers.get('mine')).toEqual(put);
      expect(await vault.providers.put(JSON.stringify({ ...definition, name: 'Yours' }))).toMatchObject({
        name: 'Yours',
      });
    },
    'refuses what is no definition, and a built-in id': async ({ vault, bench }) => {
      await refuses(vault.providers.put({ id: 'mine' }), 'invalid_request');
      await refuses(vault.providers.put({ ...bench.simulator.definition('strict'), id: 'google' }), 'invalid_request');
    },
  },
  'providers.get': {
    'returns a built-in provider, and null for an unknown one': async ({ vault }) => {
      expect(await vault.providers.get('zoho_crm')).toMatchObject({ id: 'zoho_crm', dataCenters: expect.any(Object) });
      expect(await vault.providers.get('unknown')).toBe(null);
    },
  },
  'providers.list': {
    'lists built-in and custom providers': async ({ vault, bench }) => {
      await vault.providers.put({ ...bench.simulator.definition('strict'), id: 'mine', name: 'Mine' });
      const listed = await vault.providers.list();
      expect(listed).toContainEqual({ id: 'mine', name: 'Mine', builtIn: false });
      expect(listed).toContainEqual({ id: 'zoho_crm', name: expect.any(String), builtIn: true });
    },
  },
  'providers.remove': {
    'removes a custom provider': async ({ vault, bench }) => {
      await vault.providers.put({ ...bench.simulator.definition('strict'), id: 'mine' });
      await vault.providers.remove('mine');
      expect(await vault.providers.get('mine')).toBe(null);
      await refuses(vault.providers.remove('mine'), 'not_found');
    },
  },
} satisfies Cases<`providers.${keyof Vault['providers']}`>;
