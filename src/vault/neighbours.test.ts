/** One process, file or operator must not cost a grant of another. */
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, nameOfToken } from '../../test/support/bench.ts';
import { demoClient } from '../simulator/index.ts';

const redirectUri = 'https://app.example/oauth/callback';

describe.each(databaseKinds)('a tenant that another process disconnected and connected again, on %s', (kind) => {
  it('is refreshed here at the first try, despite its new keys', async () => {
    await using bench = await makeBench({ kind });
    const [{ vault: here }, { vault: there }] = [await bench.open(), await bench.open()];
    const { key } = await bench.connect(here);
    await here.getAccessToken(key);
    await there.disconnect(key);
    await bench.connect(there);
    const rejected = (await bench.row(key)).generation;
    expect((await here.rejectAccessToken(key, rejected)).generation).toBe(rejected + 1);
  });

  it('is revoked at the provider when it is disconnected here', async () => {
    await using bench = await makeBench({ kind });
    const [{ vault: here }, { vault: there }] = [await bench.open(), await bench.open()];
    const { key } = await bench.connect(here);
    await here.getAccessToken(key);
    await there.disconnect(key);
    const { minted } = await bench.connect(there);
    expect(await here.disconnect(key)).toEqual({ revocation: 'revoked' });
    expect(revoked(bench)).toContain(nameOfToken(minted.refreshToken));
  });

  it('can connect again here', async () => {
    await using bench = await makeBench({ kind });
    const [{ vault: here }, { vault: there }] = [await bench.open(), await bench.open()];
    const { key } = await bench.connect(here);
    await here.getAccessToken(key);
    await there.disconnect(key);
    const { url } = await there.authorize({ ...key, scopes: ['read'], redirectUri });
    const answer = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
    const grant = await here.completeAuthorization(answer.headers.get('location') ?? '');
    expect(grant.state).toBe('active');
  });
});

describe('tokens that are stored again', () => {
  it('do not replace tokens that a rotation brought meanwhile', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const token = await vault.getAccessToken(key);
    const again = await vault.storeTokens(key, { refreshToken: minted.refreshToken });
    expect(again.grant.generation).toBe(token.generation);
    await bench.jump(61 * 60_000);
    expect((await vault.getAccessToken(key)).generation).toBe(token.generation + 1);
  });

  it('do not remove the candidates of a grant in doubt', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    await codeOf(vault.getAccessToken(key));
    expect((await bench.row(key)).state).toBe('uncertain');
    const again = await vault.storeTokens(key, { refreshToken: minted.refreshToken });
    expect(again.grant.state).toBe('uncertain');
  });

  it('replace the stored ones if they belong to another authorization', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const token = await vault.getAccessToken(key);
    await bench.connect(vault);
    expect((await bench.row(key)).generation).toBe(token.generation + 1);
  });
});

describe('an operator', () => {
  it.each(['zoho_crm', 'mine'])(
    'who tried a simulator sends it no secret once loopback providers are not allowed: %s',
    async (id) => {
      await using bench = await makeBench({ profiles: ['zoho', 'strict'], listen: true });
      const { vault: trying } = await bench.open({ providers: [] });
      const crm = (await trying.providers.get('zoho_crm')) ?? expect.unreachable();
      const simulated = id === 'mine' ? bench.simulator.definition('strict') : bench.simulator.rewrite(crm);
      await trying.providers.put({ ...simulated, id });
      const { key } = await bench.connect(trying, { provider: id, profile: id === 'mine' ? 'strict' : 'zoho' });
      const { vault } = await bench.open({ providers: [], unsafeAllowLoopbackProviders: undefined });
      expect(await codeOf(vault.getAccessToken(key))).toBe('provider_misconfigured');
      expect(await codeOf(vault.authorize({ ...key, redirectUri }))).toBe('provider_misconfigured');
      expect((await vault.disconnect(key)).revocation).toBe('queued');
      expect(bench.simulator.history.events().filter((event) => event.kind !== 'control')).toEqual([]);
      expect((await vault.grants.list({})).items).toHaveLength(1);
      expect((await vault.providers.list()).map((each) => each.id)).toContain(id);
    },
  );

  it('cannot remove a provider that an app needs', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open({ providers: [] });
    const definition = { ...bench.simulator.definition('strict'), id: 'mine' };
    await vault.providers.put(definition);
    await vault.apps.put('mine', { provider: 'mine', clientId: 'x', clientSecret: 'y' });
    await expect(vault.providers.remove('mine')).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('mine'),
    });
    expect(await vault.providers.get('mine')).not.toBeNull();
    await vault.apps.remove('mine');
    await vault.providers.remove('mine');
  });

  it('cannot remove a provider at which there is a grant without an app', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open({ providers: [] });
    await vault.providers.put({ ...bench.simulator.definition('strict'), id: 'mine' });
    await vault.apps.put('mine', { provider: 'mine', clientId: 'x', clientSecret: 'y' });
    await vault.storeTokens({ tenant: 'acme', provider: 'mine' }, { refreshToken: 'a-refresh-token' });
    // A token manager that knows no apps leaves such a grant.
    await bench.judge.db.updateTable('oauth_tokens').set({ app: null }).execute();
    await vault.apps.remove('mine');
    expect(await codeOf(vault.providers.remove('mine'))).toBe('invalid_request');
    expect(await vault.providers.get('mine')).not.toBeNull();
  });

  it('cannot remove the secrets of an app with an empty list', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const app = { provider: 'strict', clientId: demoClient.clientId };
    expect(await codeOf(vault.apps.put('strict', { ...app, clientSecrets: {} }))).toBe('invalid_request');
    await vault.getAccessToken(key);
  });
});

function revoked(bench: Bench): (string | undefined)[] {
  const events = bench.simulator.history.events().filter((event) => event.kind === 'revoke');
  return events.map((event) => event.token);
}
