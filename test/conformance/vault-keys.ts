/** The cases of a vault's API keys, for a vault in this process and for a client of a server. */
import { expect } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import type { Vault } from '../../src/vault/types.ts';
import type { Bench } from '../support/bench.ts';
import { refuses } from '../support/refuses.ts';

interface Setup {
  readonly bench: Bench;
  readonly vault: Vault;
}

export const keyCases = {
  'keys.create': {
    'keeps every member and shows the key once': async ({ vault, bench }) => {
      const expiresAt = new Date(bench.clock.now() + 86_400_000);
      const limits = { methods: ['GET' as const], paths: ['/crm/**'] };
      const input = { role: 'reader' as const, tenants: ['acme'], providers: ['strict'], ...limits, expiresAt };
      const { apiKey, key: secret } = await vault.keys.create('billing', input);
      expect(secret).toBeInstanceOf(Secret);
      expect(secret.reveal()).toMatch(/^gry_/);
      expect(apiKey).toEqual({
        id: expect.any(String),
        name: 'billing',
        role: 'reader',
        tenants: ['acme'],
        providers: ['strict'],
        ...limits,
        origins: null,
        parent: null,
        createdAt: expect.any(Date),
        expiresAt,
        lastUsedAt: null,
      });
    },
    'refuses a taken name and lists on an admin key': async ({ vault }) => {
      await vault.keys.create('billing', { role: 'operator' });
      await refuses(vault.keys.create('billing', { role: 'operator' }), 'invalid_request');
      await refuses(vault.keys.create('other', { role: 'admin', tenants: ['acme'] }), 'invalid_request');
      await refuses(vault.keys.create('other', { role: 'operator', tenants: '*' }), 'invalid_request');
      await refuses(vault.keys.create('other', { role: 'connector', methods: ['GET'] }), 'invalid_request');
      await refuses(vault.keys.create('other', { role: 'caller', paths: ['/a%2Fb'] }), 'invalid_request');
      await refuses(vault.keys.create('other', { role: 'caller', methods: [] }), 'invalid_request');
      await refuses(vault.keys.create('other', { role: 'caller', tenants: ['*'] }), 'invalid_request');
    },
    'takes all tenants for the roles that have tenants': async ({ vault }) => {
      for (const role of ['reader', 'caller', 'connector'] as const) {
        const { apiKey } = await vault.keys.create(`all-${role}`, { role, tenants: '*' });
        expect(apiKey.tenants).toBe('*');
      }
    },
  },
  'keys.update': {
    'changes what is named, and keeps the rest': async ({ vault, bench }) => {
      const expiresAt = new Date(bench.clock.now() + 86_400_000);
      const limits = { tenants: ['acme'], providers: ['strict'], methods: ['GET' as const], paths: ['/crm/**'] };
      const { apiKey } = await vault.keys.create('billing', { role: 'caller', ...limits, expiresAt });
      const moved = await vault.keys.update('billing', { tenants: ['acme', 'globex'], name: 'billing-2' });
      expect(moved).toEqual({ ...apiKey, name: 'billing-2', tenants: ['acme', 'globex'] });
      const freed = await vault.keys.update(apiKey.id, {
        providers: null,
        methods: null,
        paths: null,
        expiresAt: null,
      });
      expect(freed).toEqual({ ...moved, providers: null, methods: null, paths: null, expiresAt: null });
      const wide = await vault.keys.update(apiKey.id, { tenants: '*', role: 'connector' });
      expect(wide).toEqual({ ...freed, tenants: '*', role: 'connector' });
      expect(await vault.keys.list()).toContainEqual(wide);
      expect(await vault.keys.update(apiKey.id, { tenants: null, role: 'operator' })).toMatchObject({ tenants: [] });
    },
    'refuses a taken name, an unknown key, and what no key can be': async ({ vault }) => {
      await vault.keys.create('one', { role: 'operator' });
      await vault.keys.create('two', { role: 'caller', methods: ['GET'] });
      await refuses(vault.keys.update('two', { name: 'one' }), 'invalid_request');
      await refuses(vault.keys.update('three', { name: 'four' }), 'not_found');
      await refuses(vault.keys.update('one', { tenants: ['acme'] }), 'invalid_request');
      await refuses(vault.keys.update('two', { role: 'operator' }), 'invalid_request');
      await refuses(vault.keys.update('two', { expiresAt: new Date(0) }), 'invalid_request');
    },
  },
  'keys.list': {
    'lists live keys': async ({ vault }) => {
      const { apiKey } = await vault.keys.create('billing', { role: 'operator' });
      expect(await vault.keys.list()).toContainEqual(apiKey);
    },
  },
  'keys.revoke': {
    'revokes by id or name': async ({ vault }) => {
      const { apiKey } = await vault.keys.create('one', { role: 'operator' });
      await vault.keys.create('two', { role: 'operator' });
      await vault.keys.revoke(apiKey.id);
      await vault.keys.revoke('two');
      const names = (await vault.keys.list()).map(({ name }) => name);
      expect(names).not.toContain('one');
      expect(names).not.toContain('two');
      await refuses(vault.keys.revoke('three'), 'not_found');
    },
  },
} satisfies Readonly<Record<`keys.${keyof Vault['keys']}`, Readonly<Record<string, (setup: Setup) => Promise<void>>>>>;
