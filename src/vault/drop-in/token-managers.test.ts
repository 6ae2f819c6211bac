import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GrantryError } from '../../base/errors.ts';
import { systemWorld } from '../../base/system-world.ts';
import { createSimulator, demoClient } from '../../simulator/index.ts';
import { openVault } from '../open.ts';
import { MultiDCTokenManager } from './multi-dc-token-manager.ts';
import { ZohoTokenManager } from './zoho-token-manager.ts';

const scopes = ['ZohoCRM.modules.ALL', 'ZohoCRM.users.ALL', 'ZohoCRM.org.READ'];

/** A simulated Zoho in all data centres, and a vault with one connected tenant in each of the given data centres. */
async function stage(dcs: readonly string[], provider = 'zoho_crm') {
  const directory = mkdtempSync(join(tmpdir(), 'grantry-managers-'));
  const simulator = createSimulator();
  const sent: { url: string; body: string | null; contentType: string | null }[] = [];
  const vault = await openVault({
    database: `sqlite:${join(directory, 'grantry.db')}`,
    home: directory,
    world: {
      ...systemWorld(),
      fetch: (url, init) => {
        const body = typeof init.body === 'string' ? init.body : null;
        if (!url.includes('/oauth/')) {
          sent.push({ url, body, contentType: new Headers(init.headers).get('content-type') });
        }
        return simulator.worldFetch(url, init);
      },
    },
  });
  await vault.apps.put('shared', { provider, clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' });
  for (const dc of dcs) {
    const user = `user@${dc}.example`;
    const { refreshToken } = simulator.mintTokens({ clientId: demoClient.clientId, user, scopes });
    await vault.storeTokens({ tenant: `tenant-${dc}`, provider }, { refreshToken, metadata: { dc } });
  }
  const close = async (): Promise<void> => {
    await vault.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return { simulator, vault, sent, [Symbol.asyncDispose]: close };
}

async function failure(promise: Promise<unknown>): Promise<GrantryError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof GrantryError) return error;
  throw new Error(`no GrantryError but ${String(error)}`);
}

describe('MultiDCTokenManager', () => {
  it('refuses to be a text in a header, and replaces a token on demand', async () => {
    await using set = await stage(['eu'], 'zoho');
    const manager = new MultiDCTokenManager(set.vault);
    const token = await manager.getClientToken('tenant-eu');
    const given: unknown = token;
    expect(() => String(given)).toThrow('A client token is an object');
    set.simulator.killAccessToken(token.accessToken);
    const fresh = await manager.forceRefresh('tenant-eu');
    expect(fresh).toMatchObject({ dc: 'eu', generation: token.generation + 1 });
    const again = await new ZohoTokenManager(set.vault, { tenant: 'tenant-eu', provider: 'zoho' }).forceRefresh();
    // The API accepts it, so nothing was refreshed.
    expect(again).toBe(fresh.accessToken);
  });
  it('returns each tenant its token with the matching host and data centre', async () => {
    await using set = await stage(['us', 'eu', 'ca'], 'zoho');
    const manager = new MultiDCTokenManager(set.vault);
    const hosts = { us: 'https://www.zohoapis.com', eu: 'https://www.zohoapis.eu', ca: 'https://www.zohoapis.ca' };
    const tokens = [];
    for (const [dc, apiDomain] of Object.entries(hosts)) {
      const token = await manager.getClientToken(`tenant-${dc}`);
      expect(token).toMatchObject({ apiDomain, dc, tokenType: 'Bearer', generation: 2 });
      expect(token.expiresAt).toBeInstanceOf(Date);
      tokens.push(token.accessToken);
    }
    expect(new Set(tokens).size).toBe(3);
    expect((await manager.getClientToken('tenant-eu', 'zoho')).accessToken).toBe(tokens[1]);
  });

  it('returns the host of the definition when the answers contain none', async () => {
    await using set = await stage(['jp']);
    set.simulator.zoho.change({ apiDomain: 'missing' });
    const token = await new MultiDCTokenManager(set.vault).getClientToken('tenant-jp', 'zoho_crm');
    expect(token).toMatchObject({ apiDomain: 'https://www.zohoapis.jp', dc: 'jp' });
  });

  it('rejects bad input with a documented error', async () => {
    await using set = await stage(['us']);
    const manager = new MultiDCTokenManager(set.vault);
    for (const bad of ['', 'a b', 'x'.repeat(9_999), null, 7, {}]) {
      // Values that callers without a type checker can pass.
      expect((await failure(manager.getClientToken(bad as never))).code).toBe('invalid_request');
      expect((await failure(manager.getClientToken('tenant-us', (bad ?? 0) as never))).code).toBe('invalid_request');
    }
    const late = manager.getClientToken('tenant-us', 'zoho_crm', { minValidity: -1 });
    expect((await failure(late)).code).toBe('invalid_request');
    expect((await failure(manager.getClientToken('absent', 'zoho_crm'))).code).toBe('grant_not_found');
    expect(() => new MultiDCTokenManager(null as never)).toThrow(/openVault/);
  });
});

describe('ZohoTokenManager', () => {
  it('accepts every form of an API call', async () => {
    await using set = await stage(['eu']);
    const manager = new ZohoTokenManager(set.vault, { tenant: 'tenant-eu', provider: 'zoho_crm' });
    expect(await manager.getAccessToken()).toMatch(/^1000\./);
    const record = { data: [{ Last_Name: 'Lovelace' }] };
    expect(await manager.apiCall('/crm/v8/org')).toMatchObject({ org: [{}] });
    await manager.apiCall('/crm/v8/Leads', 'POST', record);
    await manager.apiCall('POST', '/crm/v8/Leads', record);
    await manager.apiCall('/crm/v8/Leads', { method: 'POST', body: record });
    await manager.apiCall('https://www.zohoapis.eu/crm/v8/Leads', { method: 'POST', body: JSON.stringify(record) });
    const posted = set.sent.filter((request) => request.body !== null);
    expect(posted).toHaveLength(4);
    expect(new Set(posted.map((request) => JSON.stringify(request))).size).toBe(1);
    expect(posted[0]).toMatchObject({
      url: 'https://www.zohoapis.eu/crm/v8/Leads',
      body: JSON.stringify(record),
      contentType: 'application/json',
    });
  });

  it('replaces a token that the API rejects and repeats the call', async () => {
    await using set = await stage(['us']);
    const manager = new ZohoTokenManager(set.vault, { tenant: 'tenant-us', provider: 'zoho_crm' });
    const old = await manager.getAccessToken();
    set.simulator.killAccessToken(old);
    expect(await manager.apiCall('/crm/v8/org')).toMatchObject({ org: [{}] });
    expect(await manager.getAccessToken()).not.toBe(old);
  });

  it.each([
    [429, 'provider_throttled', 7_000],
    [500, 'provider_unavailable', undefined],
    [404, 'provider_error', undefined],
  ])('maps status %i to an error with the answer as its cause', async (status, expected, retryAfterMs) => {
    await using set = await stage(['us']);
    const manager = new ZohoTokenManager(set.vault, { tenant: 'tenant-us', provider: 'zoho_crm' });
    const headers = status === 429 ? { 'retry-after': '7' } : {};
    const body = '{"code":"SOME_CODE","message":"a detail for the cause"}';
    const contentType = 'application/json';
    set.simulator.faults.add({
      endpoint: 'api',
      effect: { kind: 'status', status, body, contentType, headers, when: 'before' },
    });
    const error = await failure(manager.apiCall('/crm/v8/org'));
    expect(error).toMatchObject({ code: expected, cause: { status, body: JSON.parse(body) } });
    // Where the handlers of earlier token managers look.
    expect(error.response).toEqual({ status, data: JSON.parse(body) });
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(error.message).toContain('SOME_CODE');
    expect(error.message).not.toContain('detail');
  });

  it('returns null for an empty answer and rejects one that is not JSON', async () => {
    await using set = await stage(['us']);
    const manager = new ZohoTokenManager(set.vault, { tenant: 'tenant-us', provider: 'zoho_crm' });
    set.simulator.faults.add({ endpoint: 'api', effect: { kind: 'status', status: 204, when: 'before' } });
    expect(await manager.apiCall('/crm/v8/Leads')).toBeNull();
    set.simulator.faults.add({ endpoint: 'api', effect: { kind: 'html', status: 200, when: 'before' } });
    expect((await failure(manager.apiCall('/crm/v8/Leads'))).code).toBe('provider_error');
  });

  it('rejects bad input with a documented error and sends nothing', async () => {
    await using set = await stage(['us']);
    const manager = new ZohoTokenManager(set.vault, { tenant: 'tenant-us', provider: 'zoho_crm' });
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    const untyped = manager as unknown as { apiCall(...given: unknown[]): Promise<unknown> };
    const loose = (...given: unknown[]): Promise<unknown> => untyped.apiCall(...given);
    const calls = [
      loose(),
      loose(''),
      loose(7),
      loose('https://evil.example/crm'),
      loose('//evil.example/crm'),
      loose('/crm/v8/org', 'BREW'),
      loose('/crm/v8/org', 7),
      loose('/crm/v8/org', null),
      loose('/crm/v8/org', { headers: { authorization: 'mine' } }),
      loose('/crm/v8/Leads', 'POST', circle),
      loose('/crm/v8/Leads', 'POST', () => 1),
    ];
    for (const call of calls) expect((await failure(call)).code).toBe('invalid_request');
    expect(set.sent).toEqual([]);
    for (const key of [null, 'acme', {}, { tenant: 'a b', provider: 'zoho' }]) {
      expect(() => new ZohoTokenManager(set.vault, key as never)).toThrow(GrantryError);
    }
    expect(() => new ZohoTokenManager(undefined as never, { tenant: 'acme', provider: 'zoho' })).toThrow(/openVault/);
    const absent = new ZohoTokenManager(set.vault, { tenant: 'absent', provider: 'zoho_crm' });
    expect((await failure(absent.getAccessToken())).code).toBe('grant_not_found');
    expect((await failure(absent.apiCall('/crm/v8/org'))).code).toBe('grant_not_found');
  });
});
