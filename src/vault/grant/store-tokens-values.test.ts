/** Values that are handed in beside the refresh token are checked, and kept only where they mean something. */
import { describe, expect, it } from 'vitest';
import { codeOf, makeBench } from '../../../test/support/bench.ts';
import { limits } from '../../base/limits.ts';
import { internalsOf } from '../internals.ts';
import { handIn } from './store-tokens.ts';

const zoho = { tenant: 'acme', provider: 'zoho_crm' };
const refreshToken = 'a-refresh-token-of-forty-characters-1234';

describe('an access token that is handed in', () => {
  it('is not kept without a known end, so the first hand-out refreshes', async () => {
    await using bench = await makeBench({ profiles: ['none'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'none' });
    await vault.storeTokens(key, { ...minted, accessToken: 'an-access-token', replace: true });
    expect(await bench.row(key)).toMatchObject({ access_token: null, token_expiry: null });
    expect((await vault.getAccessToken(key)).accessToken).not.toBe('an-access-token');
  });

  it('brings its end with it: an end without a token is not kept', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    await bench.addApp(vault, 'strict');
    const { grant } = await vault.storeTokens(
      { tenant: 'acme', provider: 'strict' },
      { refreshToken, expiresIn: 3_600 },
    );
    expect([grant.expiresAt, (await bench.row(grant)).obtained_at]).toEqual([null, null]);
  });

  it('lives at most as long as the limit says', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    await bench.addApp(vault, 'strict');
    const longest = limits.accessTokenLifetimeMsMax / 1_000;
    const store = (expiresIn: number) =>
      vault.storeTokens({ tenant: 'acme', provider: 'strict' }, { refreshToken, accessToken: 'a', expiresIn });
    expect(await codeOf(store(longest + 1))).toBe('invalid_request');
    expect((await store(longest)).result).toBe('imported');
  });
});

describe('scopes that are handed in', () => {
  it.each([
    ['a text', 'A.read'],
    ['an empty name', ['']],
    ['a number', [7]],
  ])('are refused if they are no list of names: %s', async (_, scopes) => {
    await using bench = await makeBench({ profiles: ['zoho'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, 'zoho_crm');
    const text = JSON.stringify({ refreshToken, scopes });
    expect(await codeOf(vault.storeTokens(zoho, JSON.parse(text)))).toBe('invalid_request');
    expect(await vault.grants.list()).toMatchObject({ items: [] });
  });
});

describe('metadata that is handed in', () => {
  /** Stores metadata with each tenant once. */
  async function storing(provider: string) {
    const bench = await makeBench({ profiles: ['zoho', 'strict'] });
    const { vault } = await bench.open();
    await bench.addApp(vault, provider);
    let count = 0;
    const store = async (
      metadata: Record<string, unknown>,
      tokens: { accessToken?: string; expiresIn?: number } = {},
    ) => {
      count += 1;
      const key = { tenant: `t${count}`, provider };
      return (await vault.storeTokens(key, { refreshToken, ...tokens, metadata })).grant.metadata;
    };
    return { store, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
  }

  it('repeats none of the tokens', async () => {
    await using here = await storing('strict');
    for (const note of [refreshToken, 'see the-access-token']) {
      const stored = here.store({ note }, { accessToken: 'the-access-token', expiresIn: 60 });
      await expect(stored).rejects.toThrow('The metadata holds a token');
    }
  });

  it('names a data centre that the provider has, in its own form', async () => {
    await using here = await storing('zoho_crm');
    expect(await here.store({ dc: ' EU ' })).toEqual({ dc: 'eu' });
    await expect(here.store({ dc: 'atlantis' })).rejects.toThrow('no data centre "atlantis"');
    await expect(here.store({ dc: 7 })).rejects.toThrow('metadata.dc must be a string');
  });

  it('names an environment that the provider has, by itself or by a host that only this one has', async () => {
    await using here = await storing('zoho_crm');
    expect(await here.store({ dc: 'us', environment: 'Sandbox' })).toEqual({ dc: 'us', environment: 'sandbox' });
    await expect(here.store({ environment: 'playground' })).rejects.toThrow('no environment "playground"');
    const sandbox = 'https://sandbox.zohoapis.eu';
    expect(await here.store({ api_domain: sandbox })).toEqual({ api_domain: sandbox, environment: 'sandbox' });
    const usual = { api_domain: 'https://www.zohoapis.eu' };
    expect(await here.store(usual)).toEqual(usual);
  });

  it('may have an environment of its own at a provider without environments', async () => {
    await using here = await storing('strict');
    expect(await here.store({ environment: 'Our Playground' })).toEqual({ environment: 'Our Playground' });
  });
});

describe('tokens that meet a grant', () => {
  it('change its metadata, and stay the same, if they replace it with the stored token', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    await vault.updateMetadata(key, { note: 'old' });
    const stored = await vault.storeTokens(key, {
      refreshToken: minted.refreshToken,
      metadata: { note: 'new' },
      replace: true,
    });
    expect(stored).toMatchObject({ result: 'replaced', grant: { generation: 1, metadata: { note: 'new' } } });
  });

  it('need a refresh token where there is none, also in a dry run', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    await bench.addApp(vault, 'strict');
    const context = internalsOf(vault).open();
    const input = { accessToken: 'an-access-token', expiresIn: 60 };
    const tried = handIn(context, { tenant: 'acme', provider: 'strict' }, input, { dryRun: true });
    await expect(tried).rejects.toThrow('There is no refresh token');
  });

  it('take the app that is named, also where an app may come later', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    await bench.addApp(vault, 'strict');
    await vault.apps.put('second', { provider: 'strict', clientId: 'c', clientSecret: 's' });
    const { grant } = await handIn(
      internalsOf(vault).open(),
      { tenant: 'acme', provider: 'strict' },
      { refreshToken, app: 'second' },
      { appLater: true },
    );
    expect(grant?.app).toBe('second');
  });

  it('without an app get none from a tombstone, whose grant is over', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    expect((await bench.row(key)).app).toBe('strict');
    await vault.disconnect(key);
    const { grant } = await handIn(internalsOf(vault).open(), key, { refreshToken }, { appLater: true });
    expect(grant).toMatchObject({ state: 'active', app: null });
  });

  it('share their token with grants of another provider too', async () => {
    await using bench = await makeBench({ profiles: ['strict', 'none'] });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'strict', account: 'default' };
    for (const provider of ['strict', 'none']) await bench.addApp(vault, provider);
    await vault.storeTokens(key, { refreshToken });
    const { sharedWith } = await vault.storeTokens({ ...key, provider: 'none' }, { refreshToken });
    expect(sharedWith).toEqual([key]);
  });
});
