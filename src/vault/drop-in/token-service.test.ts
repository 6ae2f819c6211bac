import { describe, expect, it } from 'vitest';
import { scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { code, good, provider, Stage, scopes, wrong } from '../../../test/support/service-stage.ts';
import { GrantryError } from '../../base/errors.ts';
import { OAuthTokenService } from './token-service.ts';

const kinds = { sqlite: async () => scratchSqlite(), postgres: scratchDatabase };

describe.each(Object.entries(kinds))('the token service on %s', (kind, scratch) => {
  const setTheStage = async () => new Stage(await scratch());

  it('stores tokens without an app, hands them out, and creates the app for this tenant only', async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open();
    const { accessToken, refreshToken } = stage.mint();
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600, scopes });
    expect(await service.getAccessToken('acme', provider, good)).toBe(accessToken);
    expect(await vault.apps.get('acme-zoho_crm')).toMatchObject({ clientId: good.clientId, tenants: ['acme'] });
    expect(stage.requests()).toBe(0);

    stage.pass(56);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => service.getAccessToken('acme', provider, good)));
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).not.toBe(accessToken);
    expect(stage.requests()).toBe(1);
    expect(await vault.grants.get({ tenant: 'acme', provider })).toMatchObject({ generation: 2, app: 'acme-zoho_crm' });
    // From here on no call needs the credentials.
    expect((await vault.getAccessToken({ tenant: 'acme', provider })).accessToken).toBe(tokens[0]);
  });

  // Back-off uses the database's clock, and PostgreSQL's cannot be moved.
  it.runIf(kind === 'sqlite')(
    'returns an unexpired token when the refresh fails, and the error when there is none',
    async () => {
      await using stage = await setTheStage();
      const { service } = await stage.open();
      const { accessToken, refreshToken } = stage.mint();
      await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600 });
      await service.getAccessToken('acme', provider, good);
      stage.simulator.faults.add({
        endpoint: 'token',
        times: 9,
        effect: { kind: 'status', status: 500, when: 'before' },
      });
      stage.pass(57);
      expect(await service.getAccessToken('acme', provider, good)).toBe(accessToken);
      stage.pass(4);
      expect(await code(service.getAccessToken('acme', provider, good))).toBe('provider_unavailable');
      stage.simulator.faults.clear();
      stage.pass(2);
      expect(await service.getAccessToken('acme', provider, good)).not.toBe(accessToken);
    },
  );

  it('never lets a wrong secret replace the stored one, harm the grant or block other callers', async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open({ backgroundRefresh: false });
    const { accessToken, refreshToken } = stage.mint();
    await vault.apps.put('shared', { provider, ...good });
    await vault.storeTokens({ tenant: 'acme', provider }, { accessToken, refreshToken, expiresIn: 3_600 });
    stage.pass(57);
    expect(await service.getAccessToken('acme', provider, wrong)).toBe(accessToken);
    stage.pass(10);
    expect(await code(service.getAccessToken('acme', provider, wrong))).toBe('provider_misconfigured');
    const before = stage.requests();
    expect(before).toBe(2);
    expect(await code(service.getAccessToken('acme', provider, wrong))).toBe('provider_misconfigured');
    expect(stage.requests()).toBe(before);
    expect(await vault.grants.get({ tenant: 'acme', provider })).toMatchObject({ state: 'active', generation: 1 });
    // The refusal of the wrong secret does not block the right one, which equals the stored one.
    const fresh = await service.getAccessToken('acme', provider, good);
    expect(stage.requests()).toBe(before + 1);
    // A good token is handed out to every caller: credentials only select the app.
    expect(await service.getAccessToken('acme', provider, wrong)).toBe(fresh);
    stage.pass(61);
    expect(await code(vault.getAccessToken({ tenant: 'acme', provider }))).toBe('none');
    expect(await vault.apps.list()).toHaveLength(1);
  });

  it('stores a different secret once the provider accepts it, even after a refusal of the stored one', async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open();
    const { refreshToken } = stage.mint();
    await vault.apps.put('shared', { provider, ...wrong });
    await vault.storeTokens({ tenant: 'acme', provider }, { refreshToken });
    expect(await code(vault.getAccessToken({ tenant: 'acme', provider }))).toBe('provider_misconfigured');
    const tokens = await Promise.all(Array.from({ length: 8 }, () => service.getAccessToken('acme', provider, good)));
    expect(new Set(tokens).size).toBe(1);
    expect(stage.requests()).toBe(2);
    // The new secret is proven for one data centre, so the shared app keeps the other one for the rest.
    expect(await vault.apps.get('shared')).toMatchObject({ secrets: ['*', 'us'] });
    stage.pass(61);
    expect(await code(vault.getAccessToken({ tenant: 'acme', provider }))).toBe('none');
    expect(await vault.grants.get({ tenant: 'acme', provider })).toMatchObject({ generation: 3, state: 'active' });
  });

  it('releases a grant of a strict provider at once when a secret is refused', async () => {
    await using stage = await setTheStage();
    const options = { providers: [stage.simulator.definition('strict')], callerWaitMs: 3_000 };
    const { vault, service } = await stage.open(options);
    const user = 'user@us.example';
    const minted = stage.simulator.mintTokens({ profile: 'strict', clientId: good.clientId, user, scopes: ['read'] });
    await vault.apps.put('strict-app', { provider: 'strict', ...good });
    await vault.storeTokens({ tenant: 'acme', provider: 'strict' }, { refreshToken: minted.refreshToken });
    expect(await code(service.getAccessToken('acme', 'strict', wrong))).toBe('provider_misconfigured');
    expect(await code(service.getAccessToken('acme', 'strict', good))).toBe('none');
    expect(stage.requests()).toBe(2);
    expect(stage.simulator.family(minted.family)).toMatchObject({ alive: true, revoked: null });
  });

  it('accepts a client without a secret only if the provider requires none', async () => {
    await using stage = await setTheStage();
    const definition = { ...stage.simulator.definition('strict'), id: 'open', clientAuthentication: 'none' as const };
    const { vault, service } = await stage.open({ providers: [definition] });
    stage.simulator.registry.addClient({ clientId: 'public-client', type: 'browser' });
    const consent = { profile: 'strict', clientId: 'public-client', user: 'user@us.example', scopes: ['read'] };
    const { accessToken, refreshToken } = stage.simulator.mintTokens(consent);
    await service.storeTokens('acme', 'open', { accessToken, refreshToken, expiresIn: 3_600 });
    stage.pass(58);
    expect(await service.getAccessToken('acme', 'open', { clientId: 'public-client' })).not.toBe(accessToken);
    expect(await vault.apps.get('acme-open')).toMatchObject({ clientId: 'public-client', secrets: [] });
    expect(await code(service.getAccessToken('acme', provider, { clientId: 'public-client' }))).toBe('invalid_request');
  });

  it("refuses another tenant's client and changes nothing", async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open();
    const other = { clientId: '1000.ANOTHER', clientSecret: 'its-own' };
    stage.simulator.registry.addClient({ clientId: other.clientId, secret: other.clientSecret });
    const { refreshToken } = stage.mint();
    await vault.apps.put('shared', { provider, ...good });
    await vault.storeTokens({ tenant: 'acme', provider }, { refreshToken });
    for (let call = 0; call < 4; call += 1) {
      expect(await code(service.getAccessToken('acme', provider, other))).toMatch(/misconfigured|reauthorization/);
      stage.pass(6);
    }
    expect(await vault.grants.get({ tenant: 'acme', provider })).toMatchObject({ state: 'active', app: 'shared' });
    expect((await vault.apps.list()).map((app) => app.name)).toEqual(['shared']);
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('none');
  });

  it('hands out a good token to a tenant whose name is too long for an app name', async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open();
    const tenant = 'x'.repeat(128);
    const { accessToken, refreshToken } = stage.mint();
    await service.storeTokens(tenant, provider, { accessToken, refreshToken, expiresIn: 3_600 });
    expect(await service.getAccessToken(tenant, provider, good)).toBe(accessToken);
    stage.pass(61);
    expect(await code(service.getAccessToken(tenant, provider, good))).toBe('invalid_request');
    await vault.apps.put('shared', { provider, ...good });
    expect(await code(service.getAccessToken(tenant, provider, good))).toBe('none');
  });

  it('stores a new client id in its own app once the provider accepts it', async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open();
    const first = stage.mint();
    await service.storeTokens('acme', provider, { ...first, expiresIn: 3_600 });
    await service.getAccessToken('acme', provider, { clientId: '1000.TYPO', clientSecret: 'x' });
    expect(await vault.apps.get('acme-zoho_crm')).toMatchObject({ clientId: '1000.TYPO' });
    stage.pass(61);
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('none');
    expect(await vault.apps.get('acme-zoho_crm')).toMatchObject({ clientId: good.clientId, secrets: ['*'] });
  });

  it.runIf(kind === 'sqlite')('reports the end of a grant when the stored client is refused as well', async () => {
    await using stage = await setTheStage();
    const { service } = await stage.open();
    const { refreshToken } = stage.mint();
    await service.storeTokens('acme', provider, { accessToken: '1000.old', refreshToken, expiresIn: 3_600 });
    stage.pass(61);
    await service.getAccessToken('acme', provider, good);
    stage.simulator.revoke(refreshToken);
    stage.pass(61);
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('refresh_uncertain');
    stage.pass(1);
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('reauthorization_required');
    expect(await service.getTokenRecord('acme', provider)).toMatchObject({ state: 'reauthorization_required' });
    expect(await service.hasToken('acme', provider)).toBe(true);
  });

  it('describes a grant with exactly the documented fields and without secrets', async () => {
    await using stage = await setTheStage();
    const { service } = await stage.open();
    const { accessToken, refreshToken } = stage.mint('eu');
    expect(await service.getTokenRecord('acme', provider)).toBeNull();
    expect(await service.hasToken('acme', provider)).toBe(false);
    const metadata = { dc: 'eu', api_domain: 'https://www.zohoapis.eu', org_id: '7' };
    await service.storeTokens('acme', provider, { accessToken, refreshToken, expiresIn: 3_600, scopes, metadata });
    const record = await service.getTokenRecord('acme', provider);
    expect(Object.keys(record ?? {}).sort()).toEqual(
      [
        'id',
        'clientId',
        'provider',
        'account',
        'tokenExpiry',
        'scopes',
        'metadata',
        'state',
        'generation',
        'createdAt',
        'updatedAt',
      ].sort(),
    );
    expect(record).toMatchObject({ clientId: 'acme', provider, account: 'default', scopes, metadata, generation: 1 });
    expect(record?.tokenExpiry).toBeInstanceOf(Date);
    expect(JSON.stringify(record)).not.toContain(refreshToken);
    expect(JSON.stringify(record)).not.toContain(accessToken);
  });

  it('deletes with and without revocation, and repeatedly without an error', async () => {
    await using stage = await setTheStage();
    const { service } = await stage.open();
    const [kept, gone] = [stage.mint(), stage.mint()];
    await service.storeTokens('kept', provider, { ...kept, expiresIn: 3_600 });
    await service.storeTokens('gone', provider, { ...gone, expiresIn: 3_600 });
    await service.getAccessToken('gone', provider, good);
    await service.deleteToken('kept', provider, { revoke: false });
    await service.deleteToken('gone', provider);
    await service.deleteToken('gone', provider);
    await service.deleteToken('never-there', provider);
    expect([stage.simulator.isAlive(kept.refreshToken), stage.simulator.isAlive(gone.refreshToken)]).toEqual([
      true,
      false,
    ]);
    expect(await service.hasToken('gone', provider)).toBe(false);
    expect(await service.getTokenRecord('gone', provider)).toBeNull();
    expect(await code(service.getAccessToken('gone', provider, good))).toBe('grant_not_found');
  });

  it('rejects bad input with a documented error and changes nothing', async () => {
    await using stage = await setTheStage();
    const { vault, service } = await stage.open();
    const { accessToken, refreshToken } = stage.mint();
    const tokens = { accessToken, refreshToken, expiresIn: 3_600 };
    await service.storeTokens('acme', provider, tokens);
    const before = JSON.stringify([await vault.grants.list(), await vault.apps.list()]);
    for (const calls of badCalls(service, tokens)) {
      expect(await code(calls())).toMatch(/^(?:invalid_request|not_found)$/);
    }
    expect(JSON.stringify([await vault.grants.list(), await vault.apps.list()])).toBe(before);
    expect(stage.requests()).toBe(0);
    for (const fallback of [null, 7, {}, { tenant: 'a b', provider }, { tenant: 'acme', provider, variable: 'A=B' }]) {
      // Values that callers without a type checker can pass.
      expect(() => new OAuthTokenService(vault, { fallback: fallback as never })).toThrow(GrantryError);
    }
    expect(() => new OAuthTokenService({} as never)).toThrow(/openVault/);
    await vault.close();
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('invalid_request');
  });
});

function badCalls(
  service: OAuthTokenService,
  tokens: { accessToken: string; refreshToken: string; expiresIn: number },
) {
  const hostile = ['', ' ', '../..', "a' or 1=1 --", 'a\0b', 'x'.repeat(100_000), '💥', null, undefined, 7, {}, []];
  const loose = service as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
  const call =
    (name: string, ...given: unknown[]) =>
    () =>
      Reflect.apply(loose[name] ?? fail, service, given);
  const secrets = ['', ' ', 'x'.repeat(100_000), 'a\0b', null, undefined, 7, {}];
  return [
    ...hostile.flatMap((bad) => [
      call('getAccessToken', bad, provider, good),
      call('getAccessToken', 'acme', bad, good),
      call('hasToken', bad, provider),
      call('getTokenRecord', 'acme', bad),
      call('deleteToken', bad, provider),
      call('storeTokens', bad, provider, tokens),
      call('storeTokens', 'acme', bad, tokens),
    ]),
    ...secrets.flatMap((bad) => [
      call('getAccessToken', 'acme', provider, { ...good, clientId: bad }),
      call('getAccessToken', 'acme', provider, { ...good, clientSecret: bad }),
      call('storeTokens', 'acme', provider, { ...tokens, accessToken: bad }),
    ]),
    // Without a refresh token, the stored one stays.
    ...secrets
      .filter((bad) => bad !== undefined)
      .map((bad) => call('storeTokens', 'acme', provider, { ...tokens, refreshToken: bad })),
    ...[null, undefined, 'text', 7].map((bad) => call('getAccessToken', 'acme', provider, bad)),
    ...[null, undefined, 'text'].map((bad) => call('storeTokens', 'acme', provider, bad)),
    ...[-1, Number.NaN, Number.POSITIVE_INFINITY, '3600', null, undefined, 1e12].map((bad) =>
      call('storeTokens', 'acme', provider, { ...tokens, expiresIn: bad }),
    ),
    call('storeTokens', 'acme', provider, { ...tokens, scopes: ['a b'] }),
    call('storeTokens', 'acme', provider, { ...tokens, metadata: { dc: 'mars' } }),
    call('storeTokens', 'acme', provider, { ...tokens, metadata: { api_domain: 'https://evil.example' } }),
    call('storeTokens', 'acme', provider, { ...tokens, metadata: { refresh_token: 'x' } }),
    call('deleteToken', 'acme', provider, { revoke: 'no' }),
  ];
}

function fail(): never {
  throw new Error('unknown call');
}
