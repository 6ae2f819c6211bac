/** Metadata that a person changes while refreshes save what the provider says. */
import { expect, it } from 'vitest';
import { databaseKinds, makeBench, until } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import type { VaultEvent } from '../types.ts';

it.each(databaseKinds)('a change during a refresh is kept, and so are the new tokens, on %s', async (kind) => {
  await using bench = await makeBench({ kind });
  const events: VaultEvent[] = [];
  const { vault } = await bench.open({ onEvent: (event) => events.push(event) });
  const { vault: other } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 2_000, when: 'after' } });
  const refreshing = vault.getAccessToken(key);
  await until(() => bench.requests().length === 1, 'the refresh is sent');
  await vault.updateMetadata(key, { org_id: '1', note: 'here' });
  await other.updateMetadata(key, { note: null, place: 'there' });
  await bench.pass(4_000);
  expect((await refreshing).generation).toBe(2);
  const row = await bench.row(key);
  expect([JSON.parse(row.metadata), row.generation]).toEqual([{ org_id: '1', place: 'there' }, 2]);
  expect(await bench.events(key)).toEqual(['stored', 'updated', 'updated', 'refreshed']);
  const updated = events.find(({ type }) => type === 'grant.updated');
  expect(updated).toMatchObject({ tenant: 'acme', from: 'active', to: 'active', generation: 1 });
});

it.each(databaseKinds)(
  'the API host that a person sets holds in every process within five seconds, on %s',
  async (kind) => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const open = async () => (await bench.open()).vault;
    const [vault, other] = [await open(), await open()];
    const key = { tenant: 'acme', provider: 'zoho_crm' };
    await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
    await vault.storeTokens(key, { refreshToken: 'rt', accessToken: 'at', expiresIn: 3_600, metadata: { dc: 'us' } });
    expect([(await vault.getAccessToken(key)).dc, (await other.getAccessToken(key)).dc]).toEqual(['us', 'us']);
    await vault.updateMetadata(key, { dc: 'eu' });
    expect((await vault.getAccessToken(key)).dc).toBe('eu');
    await bench.pass(5_000);
    expect((await other.getAccessToken(key)).dc).toBe('eu');
  },
);

it('tries a grant again at once when its data centre is corrected', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  await bench.addApp(vault, 'zoho_crm');
  const acme = { tenant: 'acme', provider: 'zoho_crm' };
  const mint = { clientId: demoClient.clientId, user: 'user@eu.example', scopes: ['ZohoCRM.org.READ'] };
  const { refreshToken } = bench.simulator.mintTokens(mint);
  await vault.storeTokens(acme, { refreshToken, metadata: { dc: 'us' } });
  const wrongClient = { effect: { kind: 'error', error: 'invalid_client', status: 200 }, times: 1 } as const;
  bench.simulator.faults.add({ grantType: 'refresh_token', ...wrongClient });
  await expect(vault.getAccessToken(acme)).rejects.toMatchObject({
    code: 'provider_misconfigured',
    action: expect.stringMatching(/If the tokens are of another data centre, correct dc/),
  });
  await vault.updateMetadata(acme, { dc: 'eu' });
  expect(await vault.getAccessToken(acme)).toMatchObject({ dc: 'eu' });
});

it('an id that JavaScript rounded is refused, with the advice to give it as text', async () => {
  await using bench = await makeBench();
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  const rounded = Number('170876000005062005');
  for (const metadata of [{ org_id: rounded }, { deep: [{ id: -rounded }] }]) {
    for (const change of [
      vault.updateMetadata(key, metadata),
      vault.storeTokens(key, { refreshToken: 'r', metadata }),
    ]) {
      await expect(change).rejects.toMatchObject({ code: 'invalid_request', action: 'Give the number as text.' });
    }
  }
  const kept = { org_id: '170876000005062005', count: Number.MAX_SAFE_INTEGER, share: 0.5 };
  expect((await vault.updateMetadata(key, kept)).metadata).toEqual(kept);
});
