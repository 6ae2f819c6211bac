import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type ScratchDatabase, scratchDatabase, scratchSqlite } from '../../../test/support/postgres.ts';
import { GrantryError } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { systemWorld } from '../../base/system-world.ts';
import { createSimulator, demoClient, type Simulator } from '../../simulator/index.ts';
import { openVault } from '../open.ts';
import type { VaultOptions } from '../options.ts';
import type { Vault, VaultEvent } from '../types.ts';
import { OAuthTokenService } from './token-service.ts';

const provider = 'zoho_crm';
const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.org.READ'];
const good = { clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' };
const wrong = { ...good, clientSecret: 'a-secret-that-the-provider-refuses' };

/** A simulated Zoho, one database and any number of vaults, all on one clock. */
class Stage implements AsyncDisposable {
  aheadMs = 0;
  readonly simulator: Simulator;
  readonly events: VaultEvent[] = [];
  readonly logged: string[] = [];
  readonly #home = mkdtempSync(join(tmpdir(), 'grantry-service-'));
  readonly #database: ScratchDatabase;
  readonly #vaults: Vault[] = [];

  constructor(database: ScratchDatabase) {
    this.#database = database;
    this.simulator = createSimulator({ profiles: ['zoho', 'strict'], now: () => Date.now() + this.aheadMs });
  }

  async open(options: Partial<VaultOptions> = {}): Promise<{ vault: Vault; service: OAuthTokenService }> {
    const real = systemWorld();
    const note = (message: string): void => void this.logged.push(message);
    const vault = await openVault({
      database: this.#database.database,
      home: this.#home,
      rootKey: `file:${join(this.#home, 'root.key')}`,
      world: {
        ...real,
        now: () => Date.now() + this.aheadMs,
        monotonic: () => performance.now() + this.aheadMs,
        fetch: this.simulator.worldFetch,
      },
      logger: { ...silentLogger, warn: note, error: note },
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#vaults.push(vault);
    return { vault, service: new OAuthTokenService(vault) };
  }

  mint(dc = 'us') {
    return this.simulator.mintTokens({ clientId: demoClient.clientId, user: `user@${dc}.example`, scopes });
  }

  /** Number of token requests so far. */
  requests(): number {
    return this.simulator.history.events().filter((event) => event.kind === 'token').length;
  }

  pass(minutes: number): void {
    this.aheadMs += minutes * 60_000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const vault of this.#vaults) await vault.close();
    await this.#database.drop();
    rmSync(this.#home, { recursive: true, force: true });
  }
}

async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => {
      if (!(error instanceof GrantryError)) throw error;
      expect(error.message).not.toMatch(/\n|\bat .*\.ts|secret-that|1000\.[0-9a-f]{8}/);
      return error.code;
    },
  );
}

afterEach(() => {
  delete process.env['ZOHO_REFRESH_TOKEN'];
  delete process.env['ZOHO_DC'];
  delete process.env['ACME_TOKEN'];
});

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

  it('imports the environment’s refresh token once, and only for one tenant and provider', async () => {
    await using stage = await setTheStage();
    const opened = await Promise.all([stage.open(), stage.open()]);
    const services = opened.map(
      ({ vault }) => new OAuthTokenService(vault, { fallback: { tenant: 'acme', provider } }),
    );
    const [service] = services;
    if (service === undefined) throw new Error('no service');
    process.env['ZOHO_REFRESH_TOKEN'] = `${stage.mint('au').refreshToken}\n`;
    process.env['ZOHO_DC'] = 'com.au';
    expect(await code(service.getAccessToken('umbrella', provider, good))).toBe('grant_not_found');
    expect(await code(service.getAccessToken('acme', 'zoho_books', good))).toBe('grant_not_found');
    expect(await code(service.getAccessToken('ACME', provider, good))).toBe('grant_not_found');
    const tokens = await Promise.all(
      services.flatMap((each) => [1, 2, 3].map(() => each.getAccessToken('acme', provider, good))),
    );
    expect(new Set(tokens).size).toBe(1);
    expect(stage.events.filter((event) => event.type === 'grant.stored')).toHaveLength(1);
    expect(stage.requests()).toBe(1);
    expect(await service.getTokenRecord('acme', provider)).toMatchObject({ metadata: { dc: 'au' } });

    await service.deleteToken('acme', provider, { revoke: false });
    for (const each of services) {
      expect(await code(each.getAccessToken('acme', provider, good))).toBe('grant_not_found');
    }
  });

  it('imports one token for each pair of a list, and names the option for any other pair', async () => {
    await using stage = await setTheStage();
    const { vault } = await stage.open();
    const both = [
      { tenant: 'acme', provider },
      { tenant: 'acme', provider: 'zoho_calendar' },
    ];
    const service = new OAuthTokenService(vault, { fallback: both });
    process.env['ZOHO_REFRESH_TOKEN'] = stage.mint().refreshToken;
    for (const pair of both) expect(await code(service.getAccessToken('acme', pair.provider, good))).toBe('none');
    await expect(service.getAccessToken('acme', 'zoho_books', good)).rejects.toMatchObject({
      code: 'grant_not_found',
      action: expect.stringContaining("add { tenant: 'acme', provider: 'zoho_books' } to fallback"),
    });
    const unbound = new OAuthTokenService(vault);
    await expect(unbound.getAccessToken('umbrella', provider, good)).rejects.toMatchObject({
      action: expect.stringContaining('ZOHO_REFRESH_TOKEN is set, and the option fallback does not bind it'),
    });
  });
  it('imports nothing from an environment without a usable token', async () => {
    await using stage = await setTheStage();
    const { vault } = await stage.open();
    const service = new OAuthTokenService(vault, { fallback: { tenant: 'acme', provider, variable: 'ACME_TOKEN' } });
    process.env['ZOHO_REFRESH_TOKEN'] = stage.mint().refreshToken;
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('grant_not_found');
    process.env['ACME_TOKEN'] = 'two words';
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('invalid_request');
    process.env['ACME_TOKEN'] = stage.mint().refreshToken;
    process.env['ZOHO_DC'] = 'mars';
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('invalid_request');
    expect((await vault.grants.list()).items).toEqual([]);
    expect(await vault.apps.list()).toEqual([]);
    delete process.env['ZOHO_DC'];
    expect(await code(service.getAccessToken('acme', provider, good))).toBe('none');
    expect(await service.getTokenRecord('acme', provider)).toMatchObject({ metadata: { dc: 'us' } });
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
