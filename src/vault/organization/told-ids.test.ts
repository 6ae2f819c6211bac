/** Tenants in one organisation are found by the id that the API told, at all providers that name it by the same kind of id. */
import { describe, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import type { Vault } from '../types.ts';

const umbrella = { id: 'umbrella@us.example', dc: 'us', name: 'Uma', orgId: '60000000777', orgName: 'Umbrella' };
const wayne = { id: 'wayne@us.example', dc: 'us', name: 'Wes', orgId: '60000000888', orgName: 'Wayne' };
const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ', 'ZohoBooks.settings.READ', 'ZohoBooks.contacts.READ'];

async function stage(kind: 'sqlite' | 'postgres' = 'sqlite') {
  const bench = await makeBench({ kind, profiles: ['zoho'] });
  for (const each of [umbrella, wayne]) bench.simulator.registry.addUser(each);
  const opened = await bench.open({ backgroundRefresh: false });
  for (const provider of ['zoho', 'zoho_crm', 'zoho_books']) await bench.addApp(opened.vault, provider);
  return { bench, ...opened };
}

interface Grant {
  readonly tenant: string;
  readonly provider: string;
  readonly user?: string;
  readonly orgId?: string;
  readonly granted?: readonly string[];
}

/** Stores tokens of a user, with the id that a person has chosen, and returns the report of a health check. */
async function check(bench: Bench, vault: Vault, { tenant, provider, user = umbrella.id, orgId, granted }: Grant) {
  const minted = { clientId: demoClient.clientId, user, scopes: [...(granted ?? scopes)], profile: 'zoho' };
  const { refreshToken } = bench.simulator.mintTokens(minted);
  const metadata = { dc: 'us', ...(orgId === undefined ? {} : { org_id: orgId }) };
  await vault.storeTokens({ tenant, provider }, { refreshToken, metadata });
  return vault.health({ tenant, provider });
}

const named = (tenant: string) => ({ warning: expect.stringMatching(new RegExp(`another tenant: ${tenant}\\.`)) });

describe.each(databaseKinds)('on %s', (kind) => {
  it('another provider with the same kind of id is looked at, and one with ids of its own is not', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    await check(bench, vault, { tenant: 'acme', provider: 'zoho_crm' });
    expect(await check(bench, vault, { tenant: 'globex', provider: 'zoho' })).toMatchObject(named('acme'));
    // The simulator gives the organisation the same id in Books; at Zoho it is another name space.
    expect(await check(bench, vault, { tenant: 'initech', provider: 'zoho_books' })).not.toHaveProperty('warning');
    expect((await vault.organizations({ tenant: 'acme', provider: 'zoho_crm' })).sharedWith).toEqual([
      { tenant: 'globex', provider: 'zoho', account: 'default' },
    ]);
  });

  it('the id that the API told counts, and not the one that a person chose', async () => {
    const { bench, vault } = await stage(kind);
    await using _ = bench;
    await check(bench, vault, { tenant: 'acme', provider: 'zoho_crm' });
    const chosen = await check(bench, vault, { tenant: 'globex', provider: 'zoho_crm', orgId: '42' });
    expect(chosen).toMatchObject(named('acme'));
    expect((await vault.grants.get({ tenant: 'globex', provider: 'zoho_crm' }))?.metadata).toMatchObject({
      org_id: '42',
      org_told_id: umbrella.orgId,
    });
    // Both have Umbrella's id, and the API tells that one of them is in Wayne.
    const elsewhere = { tenant: 'initech', provider: 'zoho_crm', user: wayne.id, orgId: umbrella.orgId };
    expect(await check(bench, vault, elsewhere)).not.toMatchObject(named('acme'));
    expect(await vault.health({ tenant: 'acme', provider: 'zoho_crm' })).not.toHaveProperty('warning');
  });
});

describe('an organisation that the token does not reach', () => {
  it.each([
    ['zoho', scopes],
    // The list of CRM's organisations cannot be read, and that of Books can.
    ['zoho', ['ZohoBooks.settings.READ', 'ZohoBooks.contacts.READ']],
    ['zoho_crm', scopes],
  ])('is named by the health check of %s, and marked until another one is chosen', async (provider, granted) => {
    const { bench, vault } = await stage();
    await using _ = bench;
    const key = { tenant: 'acme', provider };
    const report = await check(bench, vault, { ...key, orgId: '99', granted });
    expect(report).toMatchObject({ status: 'healthy', warning: expect.stringMatching(/org_id is 99, and the API /) });
    expect((await vault.grants.get(key))?.metadata).toMatchObject({ org_id: '99', org_unreached: '99' });
    await vault.updateMetadata(key, { org_id: umbrella.orgId });
    expect(await vault.health(key)).not.toHaveProperty('warning');
    const { metadata } = (await vault.grants.get(key)) ?? {};
    expect(metadata).not.toHaveProperty('org_unreached');
    expect(metadata).not.toHaveProperty('org_told_id');
  });

  it('makes a grant unhealthy where each call carries it, and is marked', async () => {
    const { bench, vault } = await stage();
    await using _ = bench;
    const key = { tenant: 'acme', provider: 'zoho_books' };
    expect(await check(bench, vault, { ...key, orgId: '99' })).toMatchObject({ error: 'provider_misconfigured' });
    expect((await vault.grants.get(key))?.metadata).toMatchObject({ org_unreached: '99' });
  });

  it('is not one that another product names', async () => {
    const { bench, vault, world } = await stage();
    await using _ = bench;
    const real = world.fetch.bind(world);
    const ofBooks = { organizations: [{ organization_id: '71', name: 'Umbrella' }] };
    world.fetch = async (url, init) => (url.includes('/books/v3/') ? Response.json(ofBooks) : real(url, init));
    const key = { tenant: 'acme', provider: 'zoho' };
    expect(await check(bench, vault, { ...key, orgId: '71' })).not.toHaveProperty('warning');
  });
});
