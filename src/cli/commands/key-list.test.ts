/** The list of keys shows the limits that some key has. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import type { ApiKey } from '../../vault/types.ts';
import { keyColumns } from './key.ts';

/** The table as it is printed: its head, and one line for each key. */
function tableOf(keys: readonly ApiKey[]): string[][] {
  const columns = keyColumns(keys);
  const shown = Object.keys(columns).filter((name) => !['EXPIRES', 'LAST USED', 'ID'].includes(name));
  return [shown, ...keys.map((key) => shown.map((name) => columns[name]?.(key) ?? ''))];
}

it('has columns for providers, methods, paths and origins if a key is held to some', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  await vault.keys.create('ops', { role: 'admin' });
  expect(tableOf(await vault.keys.list())).toEqual([
    ['NAME', 'ROLE', 'TENANTS'],
    ['ops', 'admin', 'all'],
  ]);
  const rights = { role: 'caller', tenants: ['acme', 'globex'], providers: ['zoho_crm'] } as const;
  await vault.keys.create('agent', { ...rights, methods: ['POST', 'GET'], paths: ['/crm/v8/Leads/**'] });
  await vault.keys.create('page', { ...rights, origins: ['https://widget.example'], methods: ['GET'] });
  expect(tableOf(await vault.keys.list())).toEqual([
    ['NAME', 'ROLE', 'TENANTS', 'PROVIDERS', 'METHODS', 'PATHS', 'ORIGINS'],
    ['ops', 'admin', 'all', 'all', 'all', 'all', '-'],
    ['agent', 'caller', 'acme, globex', 'zoho_crm', 'GET, POST', '/crm/v8/Leads/**', '-'],
    ['page', 'caller', 'acme, globex', 'zoho_crm', 'GET', 'all', 'https://widget.example'],
  ]);
});
