/** The environment of an env file: said by a switch or by the API host, and never against each other. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { builtInProvider } from '../../providers/catalogue.ts';
import { readClientFile } from './client-file.ts';
import { Importer } from './importer.ts';

test.each<[string, string, string | RegExp]>([
  ['the switch', 'ZOHO_SANDBOX=true', 'sandbox'],
  ['the switch in other words', 'ZOHO_SANDBOX=YES', 'sandbox'],
  ['the switch, which is off', 'ZOHO_SANDBOX=0', 'none'],
  ['the host of the API', 'ZOHO_API_DOMAIN=https://sandbox.zohoapis.eu', 'sandbox'],
  ['the host without its scheme', 'ZOHO_API_DOMAIN=developer.zohoapis.eu', 'developer'],
  ['the host of production', 'ZOHO_API_DOMAIN=www.zohoapis.eu', 'none'],
  ['both', 'ZOHO_SANDBOX=on\nZOHO_API_DOMAIN=sandbox.zohoapis.eu', 'sandbox'],
  [
    'both, which disagree',
    'ZOHO_SANDBOX=on\nZOHO_API_DOMAIN=developer.zohoapis.eu',
    /that of the environment developer/,
  ],
  ['a word that is no switch', 'ZOHO_SANDBOX=maybe', /neither true nor false/],
  ['a host that is not Zoho’s', 'ZOHO_API_DOMAIN=evil.example', /api_domain|host/i],
])('%s makes the grant one of the environment, or is refused', async (_, lines, expected) => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open({ providers: [] });
  const file = join(bench.home, 'acme.env');
  const client = 'ZOHO_CLIENT_ID=1000.ABC\nZOHO_CLIENT_SECRET=secret\nZOHO_REFRESH_TOKEN=1000.a.b\nZOHO_DC=eu';
  writeFileSync(file, `${client}\n${lines}\n`);
  const definition = builtInProvider('zoho_crm');
  if (definition === null) throw new Error('no zoho_crm');
  const importer = new Importer({ definition, app: undefined, account: undefined, replace: false, dryRun: false });
  const stored = async () => {
    const content = await readClientFile(file, undefined, { provider: 'zoho_crm' });
    await importer.store(vault, content, importer.plan(content));
    return (await vault.grants.get({ tenant: 'acme', provider: 'zoho_crm' }))?.metadata['environment'] ?? 'none';
  };
  if (typeof expected === 'string') expect(await stored()).toBe(expected);
  else
    await expect(stored()).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringMatching(expected) });
});

test.each([
  [undefined, ''],
  ['second', ' --account second'],
])('advises to connect the account %s where the file has no token', async (account, option) => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const file = join(bench.home, 'acme.env');
  writeFileSync(file, 'ZOHO_CLIENT_ID=1000.ABC\n');
  await expect(readClientFile(file, undefined, { provider: 'zoho_crm', account })).rejects.toMatchObject({
    action: `Add it, or run grantry connect acme zoho_crm${option}.`,
  });
});
