import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ZohoStage, zohoClient, zohoStage } from '../../test/support/zoho-stage.ts';
import { GrantryError } from '../base/errors.ts';
import type { Vault } from '../vault/types.ts';
import { configure, getZohoUrls, MultiDCTokenManager, ZohoTokenManager } from './zoho.ts';

const { clientId, clientSecret } = zohoClient;

/** The handler that guides on Zoho's tokens print: it reads nothing but `error.response`. */
function handled(error: unknown): string {
  // As JavaScript reads it, where nothing says what was thrown.
  const { response } = error as { response: { status: number; data: { code?: string; error?: string } } };
  return `${response.status} ${response.data.code ?? response.data.error}`;
}

async function failure(work: Promise<unknown>): Promise<GrantryError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof GrantryError) return error;
  throw new Error(`no GrantryError but ${String(error)}`);
}

let said: string[] = [];
beforeEach(() => {
  said = [];
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void said.push(String(warning)));
});
afterEach(() => {
  configure(null);
  vi.restoreAllMocks();
});

async function setTheStage(): Promise<ZohoStage> {
  const stage = await zohoStage();
  configure(stage.vault);
  return stage;
}

describe('a manager with the constructor of hand-written ones', () => {
  it('answers calls as axios does, and replaces a refused token', async () => {
    await using stage = await setTheStage();
    const zoho = new ZohoTokenManager(clientId, clientSecret, stage.mint('us').refreshToken);
    const deals = await zoho.apiCall<{ data: unknown[] }>('https://www.zohoapis.com/crm/v8/Deals?fields=Deal_Name');
    expect(deals).toMatchObject({ status: 200, data: { data: [] } });
    const record = { data: [{ Deal_Name: 'Engine', Last_Name: 'Lovelace' }] };
    const made = await zoho.apiCall<{ data: [{ code: string }] }>(
      'https://www.zohoapis.com/crm/v8/Deals',
      'POST',
      record,
    );
    expect([made.status, made.data.data[0].code, made.headers['content-type']]).toEqual([
      201,
      'SUCCESS',
      expect.stringContaining('application/json'),
    ]);
    const old = await zoho.getAccessToken();
    stage.simulator.killAccessToken(old);
    const org = await zoho.apiCall<{ org: [{ company_name: string }] }>('https://www.zohoapis.com/crm/v8/org');
    expect(org.data.org[0].company_name).toBe('Example Company US');
    expect(await zoho.getAccessToken()).not.toBe(old);
    expect(said).toEqual([]);
  });

  it.each(['eu', 'ca', 'com.cn', 'com.au'])('makes one request for 20 cold callers in %s', async (dc) => {
    await using stage = await setTheStage();
    const tokens = stage.mint(dc.replace('com.', ''));
    const call = () => new ZohoTokenManager(clientId, clientSecret, tokens.refreshToken, dc).getAccessToken();
    const answers = await Promise.all(Array.from({ length: 20 }, call));
    expect(new Set(answers).size).toBe(1);
    expect(stage.requestsFor(tokens)).toBe(1);
  });

  it('keeps the grant of the same credentials under the same name in every process', async () => {
    await using stage = await setTheStage();
    const { refreshToken } = stage.mint('eu');
    const token = await new ZohoTokenManager(clientId, clientSecret, refreshToken, 'eu').getAccessToken();
    const other: Vault = await stage.open();
    configure(other);
    expect(await new ZohoTokenManager(clientId, clientSecret, refreshToken, 'eu').getAccessToken()).toBe(token);
    const { items } = await other.grants.list();
    expect(items.map(({ tenant, provider, dc }) => [tenant, provider, dc])).toEqual([
      [expect.stringMatching(/^zoho-[0-9a-f]{16}$/), 'zoho', 'eu'],
    ]);
    expect(items[0]?.tenant).not.toContain(refreshToken.slice(5, 21));
    await other.close();
  });

  it('returns the good token of a forced refresh while the API still takes it', async () => {
    await using stage = await setTheStage();
    const tokens = stage.mint('us');
    const zoho = new ZohoTokenManager(clientId, clientSecret, tokens.refreshToken);
    const first = await zoho.forceRefresh();
    expect(await zoho.forceRefresh()).toBe(first);
    expect(stage.requestsFor(tokens)).toBe(1);
    stage.simulator.killAccessToken(first);
    const fresh = await Promise.all(Array.from({ length: 10 }, () => zoho.forceRefresh()));
    expect(new Set(fresh).size).toBe(1);
    expect(fresh[0]).not.toBe(first);
    expect(stage.requestsFor(tokens)).toBe(2);
  });

  it('refreshes a token that ends within ten minutes', async () => {
    await using stage = await setTheStage();
    const tokens = stage.mint('us');
    const key = { tenant: 'acme', provider: 'zoho' };
    await stage.vault.apps.put('acme-zoho', { provider: 'zoho', clientId, clientSecret, tenants: ['acme'] });
    const old = { accessToken: tokens.accessToken, expiresIn: 500 };
    await stage.vault.storeTokens(key, { ...old, refreshToken: tokens.refreshToken, metadata: { dc: 'us' } });
    const zoho = new ZohoTokenManager(clientId, clientSecret, tokens.refreshToken, 'com', { tenant: 'acme' });
    expect(await zoho.getAccessToken()).not.toBe(tokens.accessToken);
  });

  it('checks nothing before its first use, as hand-written managers do', async () => {
    await using stage = await setTheStage();
    const missing = new ZohoTokenManager(clientId, undefined, undefined);
    expect(handled(await failure(missing.getAccessToken()))).toBe('400 INVALID_REQUEST');
    const unknown = new ZohoTokenManager(clientId, clientSecret, stage.mint('us').refreshToken, 'mars');
    const error = await failure(unknown.getAccessToken());
    expect(error.message).toMatch(/"mars".*us, eu, in, au, jp, ca, cn, sa, uk, ae, sg/);
    expect(() => new ZohoTokenManager('a', 'b', 'c', 'com', { tennant: 'x' } as never)).toThrow(/tennant/);
    expect(() => configure({} as never)).toThrow(/openVault/);
  });
});

describe('handlers of existing code', () => {
  it('see the answer of the API', async () => {
    await using stage = await setTheStage();
    const zoho = new ZohoTokenManager(clientId, clientSecret, stage.mint('us', ['ZohoCRM.modules.READ']).refreshToken);
    expect(handled(await failure(zoho.apiCall('/crm/v8/Nix/1')))).toBe('404 INVALID_URL_PATTERN');
    expect(handled(await failure(zoho.apiCall('/crm/v8/org')))).toBe('401 OAUTH_SCOPE_MISMATCH');
  });

  it('see Zoho’s words for what the provider refused', async () => {
    await using stage = await setTheStage();
    const { refreshToken } = stage.mint('us');
    const wrong = new ZohoTokenManager(clientId, 'a-wrong-secret', refreshToken, 'com', { tenant: 'wrong' });
    expect(handled(await failure(wrong.getAccessToken()))).toBe('400 INVALID_CLIENT');
    expect(handled(await failure(wrong.apiCall('/crm/v8/org')))).toBe('400 INVALID_CLIENT');
    const foreign = new ZohoTokenManager(clientId, clientSecret, stage.mint('eu').refreshToken, 'eu');
    const error = await failure(foreign.apiCall('https://www.zohoapis.com/crm/v8/Deals'));
    expect(handled(error)).toBe('400 WRONG_DATA_CENTRE');
    expect(error.cause).toMatchObject({ code: 'invalid_request', reason: 'wrong_data_centre' });
  });

  it('see a status and a code when nothing answers', async () => {
    await using stage = await setTheStage();
    const zoho = new ZohoTokenManager(clientId, clientSecret, stage.mint('us').refreshToken);
    await zoho.getAccessToken();
    stage.simulator.faults.add({ endpoint: 'api', effect: { kind: 'reset', when: 'before' }, times: 9 });
    const error = await failure(zoho.apiCall('/crm/v8/Deals', 'POST', { data: [] }));
    expect(handled(error)).toBe('503 PROVIDER_UNAVAILABLE');
    expect(error.retryable).toBe(true);
  });

  it('see INVALID_CODE once a grant is over', async () => {
    await using stage = await setTheStage();
    const key = { tenant: 'acme', provider: 'zoho' };
    const tokens = stage.mint('us');
    const zoho = new ZohoTokenManager(clientId, clientSecret, tokens.refreshToken, 'com', { tenant: 'acme' });
    stage.simulator.revoke(tokens.refreshToken);
    expect(handled(await failure(zoho.getAccessToken()))).toBe('503 REFUSED');
    expect(await stage.vault.grants.get(key)).toMatchObject({ state: 'suspect' });
  });
});

describe('a differing refresh token under the same name', () => {
  const key = { tenant: 'acme', provider: 'zoho' };
  const manager = (refreshToken: string) => new MultiDCTokenManager({ acme: { clientId, clientSecret, refreshToken } });

  it('replaces the stored one if the grant never had it, and stays out if it is an older one', async () => {
    await using stage = await setTheStage();
    const [first, second] = [stage.mint('us'), stage.mint('us')];
    await manager(first.refreshToken).getClientToken('acme');
    const token = await manager(second.refreshToken).getClientToken('acme');
    expect(said.join()).toMatch(/acme at zoho .* replaced the stored one/);
    const later = await stage.open();
    configure(later);
    expect(await manager(first.refreshToken).getClientToken('acme')).toBe(token);
    expect(said.join()).toMatch(/an old one. The stored one is used/);
    expect(stage.requestsFor(first)).toBe(1);
    await later.close();
  });

  it('never brings back a grant that was disconnected; only a new consent does', async () => {
    await using stage = await setTheStage();
    const { refreshToken } = stage.mint('us');
    await manager(refreshToken).getClientToken('acme');
    await stage.vault.disconnect(key, { revoke: false });
    const later = await stage.open();
    configure(later);
    const again = manager(refreshToken);
    expect(handled(await failure(again.getClientToken('acme')))).toBe('404 GRANT_NOT_FOUND');
    expect(said.join()).toMatch(/disconnected on purpose/);
    expect(await manager(stage.mint('us').refreshToken).getClientToken('acme')).toMatch(/^1000\./);
    await later.close();
  });

  it('says what differs and stays, and who holds the same token', async () => {
    await using stage = await setTheStage();
    const { refreshToken } = stage.mint('us');
    await manager(refreshToken).getClientToken('acme');
    const config = { clientId, clientSecret: 'another-secret', refreshToken, dc: 'com' };
    await new MultiDCTokenManager({ acme: config }).getClientToken('acme');
    expect(said.join()).toMatch(/the stored client_secret differs and stays/);
    await new ZohoTokenManager(clientId, clientSecret, refreshToken).getAccessToken();
    expect(said.join()).toMatch(/acme at zoho holds the same refresh token/);
    for (const text of said) expect(text).not.toMatch(/another-secret|1000\.[0-9a-f]{8}/);
  });
});

describe('managers of several data centres', () => {
  it('give each client its token as a text', async () => {
    await using stage = await setTheStage();
    const config = (dc: string, name = dc) => ({ dc, clientId, clientSecret, ...stage.mint(name) });
    const clients = new MultiDCTokenManager({ acme: config('com', 'us'), umbrella: config('eu'), maple: config('ca') });
    const tokens = await Promise.all(['acme', 'umbrella', 'maple'].map((name) => clients.getClientToken(name)));
    expect(new Set(tokens).size).toBe(3);
    expect(await clients.forceRefresh('umbrella')).toBe(tokens[1]);
    const org = await clients.managers['maple']?.apiCall<{ org: [{ company_name: string }] }>('/crm/v8/org');
    expect(org?.data.org[0].company_name).toBe('Example Company CA');
    for (const name of ['nobody', 'constructor', '__proto__']) {
      const error = await failure(clients.getClientToken(name));
      expect([error.message, handled(error)]).toEqual([`No token manager for client: ${name}`, '404 NOT_FOUND']);
    }
  });

  it('take any name, and keep similar ones apart', async () => {
    await using stage = await setTheStage();
    const config = { clientId, clientSecret };
    const names = ['Smart Tax Nation', 'Smart-Tax Nation', 'Zoë & Söhne', '日本'];
    const clients = new MultiDCTokenManager(
      Object.fromEntries(names.map((name) => [name, { ...config, ...stage.mint('us') }])),
    );
    await Promise.all(names.map((name) => clients.getClientToken(name)));
    const { items } = await stage.vault.grants.list();
    expect(items.map((grant) => grant.tenant).toSorted()).toEqual([
      expect.stringMatching(/^Smart-Tax-Nation-[0-9a-f]{8}$/),
      expect.stringMatching(/^Smart-Tax-Nation-[0-9a-f]{8}$/),
      expect.stringMatching(/^Zoe-Sohne-[0-9a-f]{8}$/),
      expect.stringMatching(/^client-[0-9a-f]{8}$/),
    ]);
    // Once the grants are stored, the configuration needs no credentials.
    const bare = new MultiDCTokenManager({ 'Smart Tax Nation': {} });
    expect(await bare.getClientToken('Smart Tax Nation')).toBe(await clients.getClientToken('Smart Tax Nation'));
  });

  it('know the addresses of every data centre', () => {
    expect(getZohoUrls('ca')).toEqual({
      tokenUrl: 'https://accounts.zohocloud.ca/oauth/v2/token',
      authUrl: 'https://accounts.zohocloud.ca/oauth/v2/auth',
      apiBase: 'https://www.zohoapis.ca',
    });
    expect(new MultiDCTokenManager({}).getZohoUrls('com.cn').apiBase).toBe('https://www.zohoapis.com.cn');
    expect(() => getZohoUrls('mars')).toThrow(/us, eu/);
  });
});
