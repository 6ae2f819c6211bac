/** A misspelt provider is told the nearest one, whichever command or call it is given to. */
import { expect, it } from 'vitest';
import { makeBench } from '../../test/support/bench.ts';
import { makeServerBench } from '../../test/support/server-bench.ts';
import type { ApiKeyInput, Vault } from '../vault/types.ts';
import { chooseApp } from './choose-app.ts';
import { noGrant } from './commands/show.ts';
import { definitionFor } from './import/importer.ts';
import { assertProvider } from './known-providers.ts';

const key = { tenant: 'acme', provider: 'zohocrm', account: 'default' };
const nearest = {
  reason: 'unknown_provider',
  message: 'There is no provider zohocrm. Did you mean zoho_crm?',
  action: expect.stringContaining('provider list'),
};
const reader: ApiKeyInput = { role: 'reader', tenants: '*', providers: ['zohocrm'] };

async function expectNearest(vault: Vault): Promise<void> {
  const error = { code: 'not_found', ...nearest };
  await expect(chooseApp(vault, key, undefined)).rejects.toMatchObject(error);
  await expect(definitionFor(vault, 'zohocrm')).rejects.toMatchObject(error);
  await expect(assertProvider(vault, 'zohocrm')).rejects.toMatchObject(error);
  await expect(vault.providers.remove('zohocrm')).rejects.toMatchObject(error);
  await expect(vault.keys.create('a', reader)).rejects.toMatchObject(error);
  await vault.keys.create('b', { ...reader, providers: ['zoho_crm'] });
  await expect(vault.keys.update('b', { providers: ['zohocrm'] })).rejects.toMatchObject(error);
  expect(await noGrant(vault, key)).toMatchObject({ code: 'grant_not_found', ...nearest });
}

it('is told by the library and the local commands', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  await expectNearest(vault);
  await expect(definitionFor(null, 'zohocrm')).rejects.toMatchObject(nearest);
  // A provider without an app is known all the same.
  await expect(chooseApp(vault, { ...key, provider: 'zoho_crm' }, undefined)).rejects.toMatchObject({
    reason: 'no_app',
  });
});

it('is told by a server', async () => {
  await using server = await makeServerBench();
  const shown = await server.call('GET', '/v1/providers/zohocrm');
  expect(shown).toMatchObject({ status: 404, body: { code: 'not_found', detail: nearest.message } });
});
