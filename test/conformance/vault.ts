/**
 * The behaviour that a vault and a client share, method by method and option by option. The same cases run over a vault in
 * this process and over a client of a running server. A method of `Vault` without a case does not compile.
 */
import { expect } from 'vitest';
import { Secret } from '../../src/base/secret.ts';
import { demoClient } from '../../src/simulator/index.ts';
import type { ImportResult, Vault } from '../../src/vault/types.ts';
import { type Bench, user } from '../support/bench.ts';
import { refuses } from '../support/refuses.ts';
import { appCases, providerCases } from './vault-apps.ts';
import { auditCases, historyCase } from './vault-audit.ts';
import { grantCases } from './vault-grants.ts';
import { keyCases } from './vault-keys.ts';

/** One subject over one bench with the providers `strict` and `none`. */
export interface Setup {
  readonly bench: Bench;
  readonly vault: Vault;
  /** True when the subject is a client of a server. */
  readonly remote: boolean;
}

type Group = 'apps' | 'audit' | 'grants' | 'providers' | 'keys';
type Members<Of extends Group> = `${Of}.${keyof Vault[Of] & string}`;
type Method =
  | Exclude<keyof Vault & string, Group>
  | Members<'apps'>
  | Members<'audit'>
  | Members<'grants'>
  | Members<'providers'>
  | Members<'keys'>;

const key = { tenant: 'acme', provider: 'strict' };

/** Mints tokens of a Zoho user for a grant that is still to be stored. */
async function zohoGrant(bench: Bench, vault: Vault, provider: string, scopes: string[], tenant = 'acme') {
  await bench.addApp(vault, provider);
  const minted = bench.simulator.mintTokens({ profile: 'zoho', clientId: demoClient.clientId, user, scopes });
  return { key: { tenant, provider }, minted };
}

export const cases: Readonly<Record<Method, Readonly<Record<string, (setup: Setup) => Promise<void>>>>> = {
  ...appCases,
  ...auditCases,
  history: historyCase,
  ...grantCases,
  ...providerCases,
  ...keyCases,
  getAccessToken: {
    'returns the whole token': async ({ vault }) => {
      await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
      const metadata = { dc: 'eu', api_domain: 'https://www.zohoapis.eu' };
      const tokens = { refreshToken: 'rt', accessToken: 'at', expiresIn: 3_600, scopes: ['a', 'b'], metadata };
      await vault.storeTokens({ tenant: 'acme', provider: 'zoho_crm' }, tokens);
      const expected = {
        accessToken: 'at',
        tokenType: 'Bearer',
        expiresAt: expect.any(Date),
        scopes: ['a', 'b'],
        apiDomain: 'https://www.zohoapis.eu',
        dc: 'eu',
        generation: 1,
      };
      const crm = { tenant: 'acme', provider: 'zoho_crm' };
      // From the row, then from memory.
      expect(await vault.getAccessToken(crm)).toEqual(expected);
      expect(await vault.getAccessToken(crm)).toEqual(expected);
    },
    'leaves out what the provider does not have': async ({ vault, bench }) => {
      await bench.connect(vault);
      const token = await vault.getAccessToken(key);
      expect(Object.keys(token).toSorted()).toEqual(['accessToken', 'expiresAt', 'generation', 'scopes', 'tokenType']);
    },
    'takes the data centre of the app': async ({ vault }) => {
      await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret', dc: 'in' });
      await vault.storeTokens(
        { tenant: 'acme', provider: 'zoho_crm' },
        { refreshToken: 'rt', accessToken: 'at', expiresIn: 3_600 },
      );
      expect((await vault.getAccessToken({ tenant: 'acme', provider: 'zoho_crm' })).dc).toBe('in');
    },
    'refreshes for a higher minimum validity': async ({ vault, bench }) => {
      await bench.connect(vault, { expiresIn: 3_600 });
      await bench.jump(120_000);
      expect((await vault.getAccessToken(key)).generation).toBe(1);
      expect((await vault.getAccessToken(key, { minValidity: 3_599.5 })).generation).toBe(2);
    },
    'refuses a validity that is none, and an unknown grant': async ({ vault, bench }) => {
      await bench.connect(vault);
      for (const minValidity of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
        await refuses(vault.getAccessToken(key, { minValidity }), 'invalid_request');
      }
      await refuses(vault.getAccessToken({ ...key, tenant: 'globex' }), 'grant_not_found');
      await refuses(vault.getAccessToken({ ...key, account: 'second' }), 'grant_not_found');
    },
    'says that the tenant must connect again': async ({ vault, bench }) => {
      const { minted } = await bench.connect(vault);
      bench.simulator.revoke(minted.refreshToken);
      const error = await vault.getAccessToken(key).catch((thrown: unknown) => thrown);
      // A first refusal is to be confirmed: the caller is told when to come again.
      expect(error).toMatchObject({ code: 'refresh_uncertain', retryable: true, retryAfterMs: expect.any(Number) });
    },
  },
  rejectAccessToken: {
    'refreshes once for a rejected generation': async ({ vault, bench }) => {
      await bench.connect(vault, { expiresIn: 3_600 });
      const first = await vault.getAccessToken(key);
      bench.simulator.killAccessToken(first.accessToken);
      const [one, other] = await Promise.all([
        vault.rejectAccessToken(key, first.generation),
        vault.rejectAccessToken(key, first.generation, { minValidity: 30 }),
      ]);
      expect([one.generation, other.accessToken]).toEqual([2, one.accessToken]);
    },
    'refuses what is no generation, and hands out what there is for one that the database lost': async ({
      vault,
      bench,
    }) => {
      await bench.connect(vault, { expiresIn: 3_600 });
      for (const generation of [0, 1.5, -1]) await refuses(vault.rejectAccessToken(key, generation), 'invalid_request');
      expect((await vault.rejectAccessToken(key, 99)).generation).toBe(1);
    },
  },
  fetch: {
    'calls the API by path and by URL, with method, headers and body': async ({ vault, bench }) => {
      await bench.connect(vault);
      const host = bench.simulator.definition('strict').api.hosts[0] ?? '';
      const byPath = await vault.fetch(key, '/api/echo?x=1', { method: 'POST', headers: { 'x-note': 'n' }, body: 'b' });
      const byUrl = await vault.fetch(key, `${host}/api/echo?x=1`, {
        method: 'POST',
        headers: new Headers(),
        body: 'b',
      });
      for (const response of [byPath, byUrl]) {
        expect(response.status).toBe(200);
        expect(await response.json()).toMatchObject({ method: 'POST', path: '/api/echo' });
      }
    },
    'refuses another host and a path that leaves': async ({ vault, bench }) => {
      await bench.connect(vault);
      await refuses(vault.fetch(key, 'https://evil.example/x'), 'invalid_request');
      await refuses(vault.fetch(key, 'no-slash'), 'invalid_request');
      await refuses(vault.fetch({ ...key, tenant: 'globex' }, '/api/me'), 'grant_not_found');
    },
    'passes an abort on as it was made': async ({ vault, bench }) => {
      await bench.connect(vault);
      const reason = new Error('the caller had enough');
      const signal = AbortSignal.abort(reason);
      await expect(vault.fetch(key, '/api/me', { signal })).rejects.toBe(reason);
    },
  },
  tokenSource: {
    'gets, rejects and fetches for one grant': async ({ vault, bench }) => {
      await bench.connect(vault, { expiresIn: 3_600 });
      const source = vault.tokenSource(key);
      const first = await source.get({ minValidity: 60 });
      bench.simulator.killAccessToken(first.accessToken);
      expect((await source.reject(first.generation)).generation).toBe(2);
      expect((await source.fetch('/api/me')).status).toBe(200);
    },
    'refuses a key that is none at once': async ({ vault }) => {
      expect(() => vault.tokenSource({ tenant: 'not a name', provider: 'strict' })).toThrow('not valid');
    },
  },
  authorize: {
    'starts an authorization, or says that a server does not': async ({ vault, bench, remote }) => {
      await bench.addApp(vault, 'strict');
      const started = vault.authorize({ ...key, redirectUri: 'https://app.example/callback' });
      if (remote) return refuses(started, 'invalid_request', 'does not work through a server');
      expect(await started).toEqual({
        url: expect.stringContaining('https://'),
        state: expect.any(String),
        warnings: [],
        keepsRefreshToken: false,
      });
    },
  },
  completeAuthorization: {
    'refuses an unknown state, or says that a server does not': async ({ vault, remote }) => {
      const completed = vault.completeAuthorization('https://app.example/callback?code=c&state=s');
      if (remote) return refuses(completed, 'invalid_request', 'does not work through a server');
      await refuses(completed, 'authorization_failed');
    },
  },
  redeemCode: {
    'redeems a code, or says that a server does not': async ({ vault, remote }) => {
      const redeemed = vault.redeemCode(key, { code: new Secret('code') });
      if (remote) return refuses(redeemed, 'invalid_request', 'does not work through a server');
      await refuses(redeemed, 'not_found');
    },
  },
  storeTokens: {
    'keeps every member and tells who shares the token': async ({ vault, bench }) => {
      await bench.addApp(vault, 'strict');
      const tokens = { app: 'strict', refreshToken: new Secret('shared'), scopes: ['read'], metadata: { org_id: 7 } };
      const first = await vault.storeTokens(key, tokens);
      expect(first.sharedWith).toEqual([]);
      expect(first.grant).toMatchObject({ app: 'strict', scopes: ['read'], metadata: { org_id: 7 }, expiresAt: null });
      const second = await vault.storeTokens({ ...key, account: 'second' }, { refreshToken: 'shared' });
      expect(second.sharedWith).toEqual([{ ...key, account: 'default' }]);
    },
    'tells what became of the tokens': async ({ vault, bench }) => {
      await bench.addApp(vault, 'strict');
      const store = async (refreshToken: string, replace?: boolean) =>
        (await vault.storeTokens(key, { refreshToken, ...(replace === undefined ? {} : { replace }) })).result;
      expect(await store('one')).toBe('imported');
      expect(await store('one')).toBe('unchanged');
      expect(await store('two', false)).toBe('kept');
      expect(await store('two')).toBe('replaced');
      expect(await store('one')).toBe('kept');
      expect(await store('one', true)).toBe('replaced');
      await vault.disconnect(key, { revoke: false });
      await refuses(store('one'), 'invalid_request', 'was disconnected');
      expect(await store('one', true)).toBe('imported');
    },
    'refuses tokens that are none': async ({ vault, bench }) => {
      await bench.addApp(vault, 'strict');
      await refuses(vault.storeTokens(key, { refreshToken: '' }), 'invalid_request');
      await refuses(vault.storeTokens(key, { refreshToken: 'rt', scopes: ['two scopes'] }), 'invalid_request');
      await refuses(vault.storeTokens(key, { refreshToken: 'rt', app: 'nothing' }), 'not_found');
      await refuses(vault.storeTokens(key, { refreshToken: 'rt', metadata: [] as never }), 'invalid_request');
      const nested = { list: [{ apiKey: 'x' }], x: { refresh_token: 'x' } };
      const zoho = `1000.${'a'.repeat(32)}.${'b'.repeat(32)}`;
      const texts = [{ Authorization: 'x' }, { note: zoho }, { note: 'it is a-refresh-token' }];
      for (const metadata of [{ client_secret: 'x' }, { x: nested.x }, { list: nested.list }, ...texts]) {
        await refuses(vault.storeTokens(key, { refreshToken: 'a-refresh-token', metadata }), 'invalid_request');
      }
      await refuses(vault.storeTokens(key, { refreshToken: 'rt', metadata: { big: 1n } }), 'invalid_request');
      await refuses(vault.storeTokens(key, null as never), 'invalid_request');
    },
  },
  importLines: {
    'stores each line and reports the bad ones': async ({ vault, bench }) => {
      await bench.addApp(vault, 'strict');
      const line = (tenant: string) =>
        JSON.stringify({ tenant, provider: 'strict', refresh_token: 'rt', scope: 'read' });
      const lines = [line('acme'), 'nonsense', line('globex'), line('acme')].join('\n');
      const results: ImportResult[] = [];
      for await (const result of vault.importLines(lines)) results.push(result);
      results.sort((a, b) => a.line - b.line);
      expect(results.map(({ status }) => status)).toEqual([201, 400, 201, 200]);
      expect(results[1]).toMatchObject({ line: 2, code: 'invalid_request', detail: expect.any(String) });
      expect(results[2]).toMatchObject({ tenant: 'globex', provider: 'strict', account: 'default' });
      expect(results.some(({ sharedWith }) => sharedWith?.[0]?.account === 'default')).toBe(true);
      const body = new Blob([line('initech')]).stream();
      for await (const result of vault.importLines(body)) expect(result.status).toBe(201);
      expect(await vault.grants.get({ tenant: 'initech', provider: 'strict' })).toMatchObject({ scopes: ['read'] });
    },
  },
  updateMetadata: {
    'sets and removes members, and leaves all others': async ({ vault, bench }) => {
      await bench.addApp(vault, 'strict');
      await vault.storeTokens(key, {
        refreshToken: 'rt',
        metadata: { org_id: '1', environment: 'sandbox', other: [1] },
      });
      const updated = await vault.updateMetadata(key, {
        org_id: '2',
        environment: null,
        someMember: { x: 1 },
        gone: null,
      });
      expect(updated.metadata).toEqual({ org_id: '2', other: [1], someMember: { x: 1 } });
      expect(await vault.grants.get(key)).toEqual({ ...updated, calls: [] });
    },
    'moves the tokens to another data centre': async ({ vault }) => {
      const crm = { tenant: 'acme', provider: 'zoho_crm' };
      await vault.apps.put('crm', { provider: 'zoho_crm', clientId: '1000.A', clientSecret: 'secret' });
      await vault.storeTokens(crm, { refreshToken: 'rt', accessToken: 'at', expiresIn: 3_600, metadata: { dc: 'us' } });
      expect((await vault.getAccessToken(crm)).dc).toBe('us');
      expect((await vault.updateMetadata(crm, { dc: 'com.au' })).dc).toBe('au');
      expect((await vault.getAccessToken(crm)).dc).toBe('au');
      await refuses(vault.updateMetadata(crm, { dc: 'mars' }), 'invalid_request');
    },
    'refuses secrets, lists and grants that are gone': async ({ vault, bench }) => {
      await bench.connect(vault);
      await refuses(vault.updateMetadata(key, { client_secret: 'x' }), 'invalid_request');
      await refuses(vault.updateMetadata(key, [] as never), 'invalid_request');
      await refuses(vault.updateMetadata(key, { long: 'x'.repeat(20_000) }), 'invalid_request');
      await vault.disconnect(key);
      await refuses(vault.updateMetadata(key, { org_id: '1' }), 'grant_not_found');
      await refuses(vault.updateMetadata({ ...key, tenant: 'globex' }, { org_id: '1' }), 'grant_not_found');
    },
  },
  disconnect: {
    'revokes at the provider': async ({ vault, bench }) => {
      const { minted } = await bench.connect(vault);
      expect(await vault.disconnect(key)).toEqual({ revocation: 'revoked' });
      expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
      await refuses(vault.disconnect(key), 'grant_not_found');
    },
    'leaves the token alive at the provider when asked': async ({ vault, bench }) => {
      const { minted } = await bench.connect(vault);
      expect(await vault.disconnect(key, { revoke: false })).toEqual({ revocation: 'skipped' });
      expect(bench.simulator.isAlive(minted.refreshToken)).toBe(true);
      await refuses(vault.getAccessToken(key), 'grant_not_found');
    },
    'does not revoke a token that another grant holds, and says whose it is': async ({ vault, bench }) => {
      const { minted } = await bench.connect(vault);
      const other = { tenant: 'globex', provider: 'strict', account: 'second' };
      await vault.storeTokens(other, { refreshToken: minted.refreshToken });
      expect(await vault.disconnect(key)).toEqual({ revocation: 'shared', sharedWith: [other] });
      expect(bench.simulator.isAlive(minted.refreshToken)).toBe(true);
    },
    'revokes when told to': async ({ vault, bench }) => {
      await bench.connect(vault);
      expect(await vault.disconnect(key, { revoke: true })).toEqual({ revocation: 'revoked' });
    },
  },
  health: {
    'reports a healthy grant': async ({ vault, bench }) => {
      await bench.connect(vault);
      expect(await vault.health(key)).toEqual({
        status: 'healthy',
        ...key,
        account: 'default',
        dc: null,
        orgName: 'Example Company US',
        tokenFingerprint: expect.any(String),
      });
    },
    'reports an unhealthy grant, and refuses an unknown one': async ({ vault, bench }) => {
      const { minted } = await bench.connect(vault);
      bench.simulator.revoke(minted.refreshToken);
      expect(await vault.health(key)).toEqual({
        status: 'unhealthy',
        ...key,
        account: 'default',
        dc: null,
        error: 'refresh_uncertain',
        message: expect.any(String),
        action: expect.any(String),
        reason: 'refused',
        actionRequired: false,
      });
      await refuses(vault.health({ ...key, tenant: 'globex' }), 'grant_not_found');
    },
  },
  organizations: {
    'lists them, and keeps the only one': async ({ vault, bench }) => {
      const { key: books, minted } = await zohoGrant(bench, vault, 'zoho_books', ['ZohoBooks.settings.READ']);
      await vault.storeTokens(books, { refreshToken: minted.refreshToken, metadata: { dc: 'us' } });
      const item = { id: '60000000001', name: 'Example Company US', chosen: true, default: true };
      const expected = { ...books, account: 'default', items: [item], member: 'org_id', sharedWith: [] };
      expect(await vault.organizations(books)).toEqual(expected);
      expect((await vault.grants.get(books))?.metadata).toMatchObject({ org_id: item.id, org_name: item.name });
    },
    'names other tenants in the same one': async ({ vault, bench }) => {
      const one = await zohoGrant(bench, vault, 'zoho_books', ['ZohoBooks.settings.READ']);
      const two = await zohoGrant(bench, vault, 'zoho_books', ['ZohoBooks.settings.READ'], 'globex');
      for (const { key: each, minted } of [one, two]) {
        await vault.storeTokens(each, { refreshToken: minted.refreshToken, metadata: { dc: 'us' } });
        await vault.organizations(each);
      }
      const { sharedWith } = await vault.organizations(one.key);
      expect(sharedWith).toEqual([{ tenant: 'globex', provider: 'zoho_books', account: 'default' }]);
    },
    'refuses a provider that tells none, and a grant without the scope': async ({ vault, bench }) => {
      await bench.connect(vault);
      await refuses(vault.organizations(key), 'invalid_request');
      await refuses(vault.organizations({ ...key, tenant: 'globex' }), 'grant_not_found');
      const { key: books, minted } = await zohoGrant(bench, vault, 'zoho_books', ['ZohoBooks.contacts.READ']);
      await vault.storeTokens(books, { refreshToken: minted.refreshToken, metadata: { dc: 'us' } });
      await refuses(vault.organizations(books), 'insufficient_scope');
    },
  },
  quarantine: {
    'is null for a database that was not restored': async ({ vault }) => expect(vault.quarantine).toBe(null),
  },
  budget: {
    'counts the requests of a refresh token, and null where the provider states no limit': async ({ vault, bench }) => {
      await bench.connect(vault);
      expect(await vault.budget(key)).toBe(null);
      await refuses(vault.budget({ ...key, tenant: 'globex' }), 'grant_not_found');
    },
  },
  recover: {
    'reports that an active grant needs none': async ({ vault, bench }) => {
      await bench.connect(vault);
      expect(await vault.recover(key)).toEqual({ ...key, account: 'default', outcome: 'not_needed', tried: 0 });
      await refuses(vault.recover({ ...key, tenant: 'globex' }), 'grant_not_found');
    },
  },
  adopt: {
    'refuses a database that is not quarantined': async ({ vault }) => {
      await refuses(vault.adopt(), 'invalid_request');
    },
    'takes its options': async ({ vault }) => {
      await Promise.allSettled([vault.adopt({ afterRestore: false })]);
      const reports: unknown[] = [];
      const all = await vault.adopt({ afterRestore: true, onReport: (report) => reports.push(report) });
      expect(reports).toEqual([...all]);
    },
  },
  close: {
    'refuses every later call': async ({ vault, bench }) => {
      await bench.connect(vault);
      await vault.close();
      await vault.close();
      const calls: (() => Promise<unknown>)[] = [
        () => vault.getAccessToken(key),
        () => vault.rejectAccessToken(key, 1),
        () => vault.grants.get(key),
        () => vault.apps.list(),
        () => vault.fetch(key, '/api/me'),
        () => vault.importLines('{}').next(),
        () => vault.tokenSource(key).get(),
      ];
      for (const call of calls) await refuses(call(), 'invalid_request', 'was closed');
    },
  },
};
