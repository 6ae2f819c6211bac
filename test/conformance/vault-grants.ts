/** The cases of reading grants, for a vault in this process and for a client of a server. */
import { expect } from 'vitest';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from '../support/bench.ts';
import { refuses } from '../support/refuses.ts';

interface Setup {
  readonly bench: Bench;
  readonly vault: Vault;
}

type Cases<Method extends string> = Readonly<Record<Method, Readonly<Record<string, (setup: Setup) => Promise<void>>>>>;

const key = { tenant: 'acme', provider: 'strict' };

export const grantCases = {
  'grants.get': {
    'returns the whole grant': async ({ vault, bench }) => {
      await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
      const metadata = {
        org_id: '42',
        dc: 'eu',
        api_domain: 'https://www.zohoapis.eu',
        someMember: { innerMember: 1 },
      };
      const tokens = { refreshToken: 'rt', accessToken: 'at', expiresIn: 3_600, scopes: ['a', 'b'], metadata };
      await vault.storeTokens({ tenant: 'acme', provider: 'zoho_crm', account: 'second' }, tokens);
      const now = new Date(bench.clock.now());
      const grant = await vault.grants.get({ tenant: 'acme', provider: 'zoho_crm', account: 'second' });
      expect(grant).toEqual({
        tenant: 'acme',
        provider: 'zoho_crm',
        account: 'second',
        app: 'crm',
        state: 'active',
        reason: null,
        generation: 1,
        scopes: ['a', 'b'],
        scopesMissing: [],
        scopesAssumed: [],
        calls: [],
        dc: 'eu',
        apiDomain: 'https://www.zohoapis.eu',
        metadata,
        expiresAt: expect.any(Date),
        lastRefreshedAt: null,
        createdAt: expect.any(Date),
        updatedAt: expect.any(Date),
      });
      expect(Math.abs((grant?.expiresAt?.getTime() ?? 0) - now.getTime() - 3_600_000)).toBeLessThan(60_000);
    },
    'returns null for a grant that never was, and a tombstone': async ({ vault, bench }) => {
      expect(await vault.grants.get(key)).toBe(null);
      await bench.connect(vault);
      await vault.disconnect(key);
      expect(await vault.grants.get(key)).toMatchObject({ state: 'disconnected', generation: 1 });
    },
    'refuses a key that is none': async ({ vault }) => {
      await refuses(vault.grants.get({ tenant: 'not a name', provider: 'strict' }), 'invalid_request');
      await refuses(vault.grants.get({ tenant: 'acme', provider: 'Not An Id' }), 'invalid_request');
      await refuses(vault.grants.get(null as never), 'invalid_request');
    },
  },
  'grants.list': {
    'filters by every member': async ({ vault, bench }) => {
      for (const tenant of ['acme', 'globex', 'initech']) await bench.connect(vault, { tenant });
      await bench.connect(vault, { provider: 'none' });
      await vault.disconnect({ tenant: 'initech', provider: 'strict' });
      const listed = async (filter: Parameters<Vault['grants']['list']>[0]): Promise<string[]> =>
        (await vault.grants.list(filter)).items.map((grant) => `${grant.tenant}/${grant.provider}`);
      expect(await listed({})).toEqual(['acme/none', 'acme/strict', 'globex/strict', 'initech/strict']);
      expect(await listed({ tenant: 'acme' })).toEqual(['acme/none', 'acme/strict']);
      expect(await listed({ tenants: ['acme', 'globex'] })).toEqual(['acme/none', 'acme/strict', 'globex/strict']);
      expect(await listed({ tenants: [] })).toEqual([]);
      expect(await listed({ provider: 'none' })).toEqual(['acme/none']);
      expect(await listed({ providers: ['none', 'zoho_crm'] })).toEqual(['acme/none']);
      expect(await listed({ providers: [] })).toEqual([]);
      expect(await listed({ tenant: 'acme', tenants: ['globex'] })).toEqual([]);
      expect(await listed({ state: 'disconnected' })).toEqual(['initech/strict']);
      expect(await listed({ state: 'quarantined' })).toEqual([]);
      expect(await listed({ updatedSince: new Date(bench.clock.now() + 3_600_000) })).toEqual([]);
      expect((await listed({ updatedSince: new Date(0) })).length).toBe(4);
    },
    'pages through all grants': async ({ vault, bench }) => {
      for (const tenant of ['acme', 'globex', 'initech']) await bench.connect(vault, { tenant });
      const first = await vault.grants.list({ limit: 2 });
      expect([first.items.length, typeof first.next]).toEqual([2, 'string']);
      const last = await vault.grants.list({ limit: 2, cursor: first.next ?? '' });
      expect([last.items.map((grant) => grant.tenant), last.next]).toEqual([['initech'], null]);
    },
    'refuses a filter that is none': async ({ vault }) => {
      await refuses(vault.grants.list({ limit: 0 }), 'invalid_request');
      await refuses(vault.grants.list({ limit: 501 }), 'invalid_request');
      await refuses(vault.grants.list({ cursor: 'nonsense' }), 'invalid_request');
      await refuses(vault.grants.list({ state: 'lost' as never }), 'invalid_request');
      await refuses(vault.grants.list({ tenants: ['a,b'] }), 'invalid_request');
      await refuses(vault.grants.list({ updatedSince: new Date(Number.NaN) }), 'invalid_request');
      await refuses(vault.grants.list([] as never), 'invalid_request');
    },
  },
} satisfies Cases<`grants.${keyof Vault['grants']}`>;
