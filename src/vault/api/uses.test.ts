import { expect, it } from 'vitest';
import { databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { internalsOf } from '../internals.ts';
import { doDuty, duties } from '../upkeep/upkeep.ts';

const provider = 'zoho_crm';

it.each(databaseKinds)('a grant tells which calls it made and which of them lacked a scope, on %s', async (kind) => {
  await using bench = await makeBench({ kind, profiles: ['zoho'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault, { provider, profile: 'zoho', expiresIn: 3_600 });
  await vault.fetch(key, '/crm/v8/Leads?fields=Last_Name');
  await vault.fetch(key, '/crm/v8/Leads/60000000123');
  const refused = await vault.fetch(key, '/crm/v8/org');
  expect(await refused.json()).toMatchObject({ code: 'OAUTH_SCOPE_MISMATCH' });
  const duty = duties.find(({ queue }) => queue === 'uses');
  if (duty === undefined) throw new Error('no such duty');
  await doDuty(internalsOf(vault).open(), duty);
  await vault.fetch(key, '/crm/v8/Leads');
  await doDuty(internalsOf(vault).open(), duty);
  const calls = (await vault.grants.get(key))?.calls ?? [];
  expect(calls.map(({ call, count, refused: lacked }) => [call, count, lacked])).toEqual([
    ['GET www.zohoapis.com/crm/v8/Leads', 3, 0],
    ['GET www.zohoapis.com/crm/v8/org', 1, 1],
  ]);
});
