/** More scopes for an existing grant: the refresh token stays where the provider can, and a new consent elsewhere. */
import { describe, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench, until } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { completeAuthorization } from './complete.ts';
import { completeConnectSessionOf } from './completion.ts';
import type { Prove } from './enhanced.ts';
import { receiveConnectCallback, startConnect } from './flow.ts';
import { createConnectSession, getConnectSession } from './sessions.ts';

const key = { tenant: 'acme', provider: 'zoho_crm' };
const redirectUri = 'https://app.example/callback';
const publicUrl = 'https://grantry.example';
const leads = 'ZohoCRM.modules.leads.READ';
const coql = 'ZohoCRM.coql.READ';

async function visit(bench: Bench, url: string): Promise<string> {
  const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
  return response.headers.get('location') ?? '';
}

/** A bench with a grant that was consented to at Zoho, in the data centre of the app. */
async function connected(kind: 'sqlite' | 'postgres' = 'sqlite'): Promise<{ bench: Bench; vault: Vault }> {
  const bench = await makeBench({ kind, profiles: ['zoho'] });
  const { vault } = await bench.open();
  const clientSecret = demoClient.secret ?? '';
  const app = { provider: key.provider, clientId: demoClient.clientId, clientSecret, dc: 'us', scopes: [leads] };
  await vault.apps.put('crm', { ...app, returnTo: ['https://app.example/back'] });
  bench.simulator.registry.autoApprove = true;
  const { url } = await vault.authorize({ ...key, redirectUri });
  await vault.completeAuthorization(await visit(bench, url));
  // Zoho allows few requests per refresh token and minute.
  await bench.jump(700_000);
  return { bench, vault };
}

/** The number of grants to which scopes were added. */
async function added(bench: Bench): Promise<number> {
  const notes = bench.judge.db.selectFrom('grantry_grant_scopes').where('assumed', '!=', '[]');
  return (await notes.select('grant_id').execute()).length;
}

const families = (bench: Bench) => bench.simulator.families().filter(({ alive }) => alive);

describe('scopes that a grant gains', () => {
  it('keep its refresh token: no slot is taken, and the new access token has them', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const before = await vault.getAccessToken(key);
    const started = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    expect(started).toMatchObject({ keepsRefreshToken: true, warnings: [] });
    expect(new URL(started.url).pathname).toBe('/oauth/v2/token/addextrascope');
    const callback = await visit(bench, started.url);
    const grant = await vault.completeAuthorization(callback);
    expect(grant).toMatchObject({ scopes: [leads, coql], scopesMissing: [], scopesAssumed: [coql], state: 'active' });
    expect(families(bench)).toHaveLength(1);
    expect(families(bench)[0]?.scopes).toEqual([leads, coql]);
    const after = await vault.getAccessToken(key);
    expect(after.accessToken).not.toBe(before.accessToken);
    expect(after.generation).toBe(before.generation + 1);
    // The same callback again gives the same grant.
    expect((await vault.completeAuthorization(callback)).scopes).toEqual([leads, coql]);
  });

  it('are confirmed by an answer that names them', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    bench.simulator.zoho.change({ scopeInAnswer: true });
    const { url } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    expect(await vault.completeAuthorization(await visit(bench, url))).toMatchObject({
      scopes: [leads, coql],
      scopesAssumed: [],
    });
    await expect(vault.authorize({ ...key, redirectUri, addScopes: [coql] })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('has these scopes already'),
    });
  });

  it('can be asked for again while they are only assumed', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const first = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    // A person opens the callback without consenting, and the provider's answers name no scopes.
    const grant = await vault.completeAuthorization(`${redirectUri}?status=success&state=${first.state}`);
    expect(grant).toMatchObject({ scopes: [leads, coql], scopesAssumed: [coql] });
    expect(families(bench)[0]?.scopes).toEqual([leads]);
    await bench.jump(700_000);
    const { url } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    expect(await vault.completeAuthorization(await visit(bench, url))).toMatchObject({ scopes: [leads, coql] });
    expect(families(bench)[0]?.scopes).toEqual([leads, coql]);
  });

  it('stay away when a person opens the callback without consenting, also while no refresh succeeds', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    bench.simulator.zoho.change({ scopeInAnswer: true });
    const callback = async () => {
      const { state } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
      return `${redirectUri}?status=success&state=${state}`;
    };
    const without = { scopes: [leads], scopesMissing: [coql], scopesAssumed: [], state: 'active' };
    expect(await vault.completeAuthorization(await callback())).toMatchObject(without);
    await bench.jump(700_000);
    const refused = await callback();
    bench.simulator.faults.add({
      grantType: 'refresh_token',
      effect: { kind: 'status', status: 503, when: 'before' },
      times: 99,
    });
    const unrefreshed = await vault.completeAuthorization(refused);
    expect(unrefreshed).toMatchObject({ scopes: [leads], scopesMissing: [coql] });
    // The same callback gives the same grant while the answer is open.
    expect(await vault.completeAuthorization(refused)).toMatchObject({ scopes: [leads] });
  });

  it('stay away when the user declines, and a callback without an answer uses nothing up', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const { state } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    await expect(
      vault.completeAuthorization(`${redirectUri}?error=access_denied&state=${state}`),
    ).rejects.toMatchObject({ code: 'authorization_failed', reason: 'consent_refused' });
    expect(await vault.grants.get(key)).toMatchObject({ scopes: [leads], state: 'active' });
    const consent = await vault.authorize({ ...key, redirectUri });
    await expect(vault.completeAuthorization(`${redirectUri}?status=success&state=${consent.state}`)).rejects.toThrow(
      'neither a code nor an error',
    );
    expect(await vault.completeAuthorization(await visit(bench, consent.url))).toMatchObject({ state: 'active' });
  });

  it('come by a new consent with all scopes where the provider refuses the request', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    bench.simulator.zoho.change({ scopeEnhancement: 'refused' });
    const started = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    expect(started.keepsRefreshToken).toBe(false);
    expect(new URL(started.url).searchParams.get('scope')).toBe(`${leads},${coql}`);
    const grant = await vault.completeAuthorization(await visit(bench, started.url));
    expect(grant).toMatchObject({ scopes: [leads, coql], scopesAssumed: [] });
    expect(families(bench)).toHaveLength(1);
  });

  it('do not come to a grant that was connected anew meanwhile', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const { url } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    const callback = await visit(bench, url);
    const again = await vault.authorize({ ...key, redirectUri });
    await vault.completeAuthorization(await visit(bench, again.url));
    await expect(vault.completeAuthorization(callback)).rejects.toMatchObject({ code: 'authorization_failed' });
    expect(await vault.grants.get(key)).toMatchObject({ scopes: [leads], scopesAssumed: [] });
  });

  it('leave environment and organisation of the grant as they are, and no request names them', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    await vault.updateMetadata(key, { environment: 'sandbox', org_id: '42' });
    const wish = { ...key, redirectUri, addScopes: [coql] };
    for (const more of [{ environment: 'production' }, { expectOrganization: '42' }]) {
      await expect(vault.authorize({ ...wish, ...more })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining('neither the environment nor the organisation'),
      });
      const link = createConnectSession(internalsOf(vault).open(), publicUrl, { ...key, addScopes: [coql], ...more });
      await expect(link).rejects.toMatchObject({ code: 'invalid_request' });
    }
    const before = await vault.grants.get(key);
    const enhanced = await vault.completeAuthorization(await visit(bench, (await vault.authorize(wish)).url));
    const stays = { apiDomain: 'https://sandbox.zohoapis.com', metadata: before?.metadata };
    expect(enhanced).toMatchObject({ ...stays, scopes: [leads, coql] });
    await bench.jump(700_000);
    // Where a new consent is needed, its answer names the production host.
    bench.simulator.zoho.change({ scopeEnhancement: 'refused' });
    const { url, keepsRefreshToken } = await vault.authorize({ ...wish, addScopes: ['ZohoCRM.users.READ'] });
    expect(keepsRefreshToken).toBe(false);
    const { metadata, ...again } = await vault.completeAuthorization(await visit(bench, url));
    expect(again).toMatchObject({ state: 'active', apiDomain: stays.apiDomain });
    expect(metadata).toMatchObject({ environment: 'sandbox', org_id: '42' });
  });

  it('keep the token set that the present one has replaced by hand', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const minted = bench.simulator.mintTokens({
      clientId: demoClient.clientId,
      user: 'user@us.example',
      scopes: [leads],
    });
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, scopes: [leads], replace: true });
    const context = internalsOf(vault).open();
    const candidates = () => context.store.db.selectFrom('grantry_candidates').selectAll().execute();
    const kept = await candidates();
    expect(kept).toHaveLength(1);
    const { url } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    // Without the refresh that proves the new token and shreds what it replaced.
    const grant = await completeAuthorization(context, await visit(bench, url));
    // The browser proves nothing: the scopes are there with the next refresh.
    expect(grant).toMatchObject({ scopes: [leads], scopesMissing: [coql], state: 'active' });
    expect(await candidates()).toEqual(kept);
    await bench.jump(700_000);
    await vault.getAccessToken(key, { minValidity: 3_590 });
    expect(await vault.grants.get(key)).toMatchObject({ scopes: [leads, coql], scopesAssumed: [coql] });
  });

  it('come only with a refresh whose request was sent after the callback', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const { url } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    const callback = await visit(bench, url);
    bench.simulator.zoho.change({ scopeInAnswer: false });
    const context = internalsOf(vault).open();
    const before = await bench.row(key);
    const { promise: sent, resolve: isSent } = Promise.withResolvers<void>();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const answered = bench.requests().length;
    const { store } = context;
    const real = store.transaction.bind(store);
    // Holds the answer back before it is saved.
    store.transaction = async (run, options) => {
      if (bench.requests().length === answered) return real(run, options);
      isSent();
      await gate;
      return real(run, options);
    };
    const underWay = vault.getAccessToken(key, { minValidity: 3_600 }).catch(() => {});
    await sent;
    const other = await bench.open();
    // Without the refresh that follows: only the one under way ends.
    const grant = await completeAuthorization(internalsOf(other.vault).open(), callback);
    expect(grant).toMatchObject({ scopes: [leads] });
    store.transaction = real;
    open();
    await underWay;
    expect((await bench.row(key)).generation).toBe(before.generation + 1);
    expect(await vault.grants.get(key)).toMatchObject({ scopes: [leads], scopesMissing: [coql] });
    await bench.jump(700_000);
    await vault.getAccessToken(key, { minValidity: 3_590 });
    expect(await vault.grants.get(key)).toMatchObject({ scopes: [leads, coql], scopesAssumed: [coql] });
  });

  it('are shown at once although a refresh was under way at the callback', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const { url } = await vault.authorize({ ...key, redirectUri, addScopes: [coql] });
    const callback = await visit(bench, url);
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { store } = internalsOf(vault).open();
    const real = store.transaction.bind(store);
    const answered = bench.requests().length;
    store.transaction = async (run, options) => {
      if (bench.requests().length > answered) await gate;
      return real(run, options);
    };
    const underWay = vault.getAccessToken(key, { minValidity: 3_600 }).catch(() => {});
    await until(() => bench.requests().length > answered, 'the request');
    const other = await bench.open();
    const completed = other.vault.completeAuthorization(callback);
    await until(async () => (await added(bench)) > 0, 'the note of the scopes');
    store.transaction = real;
    open();
    await underWay;
    expect(await completed).toMatchObject({ scopes: [leads, coql], scopesAssumed: [coql] });
  });

  it('need a grant', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    await expect(vault.authorize({ ...key, tenant: 'other', redirectUri, addScopes: [coql] })).rejects.toMatchObject({
      code: 'grant_not_found',
    });
    await expect(vault.authorize({ ...key, redirectUri, addScopes: [coql], scopes: [leads] })).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});

// PostgreSQL writes JSON in its own way, and the rows' MACs hold all the same.
describe.each(databaseKinds)('a connect session that adds scopes, on %s', (kind) => {
  /** Opens a link that adds scopes, and comes back from the provider. */
  async function come(
    bench: Bench,
    vault: Vault,
    {
      returnTo,
      forge = (callback) => callback,
      pause = async () => {},
    }: { returnTo?: string; forge?: (callback: URL) => URL; pause?: () => Promise<void> } = {},
  ) {
    const context = internalsOf(vault).open();
    const { handOut } = internalsOf(vault);
    const prove: Prove = (of, generation) => handOut.prove(of, generation);
    const { id, url } = await createConnectSession(context, publicUrl, { ...key, addScopes: [coql], returnTo });
    const started = await startConnect(context, publicUrl, { token: url.split('/').at(-1) ?? '', browser: 'browser' });
    const { pathname, search } = forge(new URL(await visit(bench, 'url' in started ? started.url : '')));
    await pause();
    const came = { context: pathname.split('/').at(-1) ?? '', search, browser: 'browser' };
    const outcome = await receiveConnectCallback(context, publicUrl, came, prove);
    return { context, id, outcome, prove };
  }

  it('ends at the callback, and says what was granted', async () => {
    const { bench, vault } = await connected(kind);
    await using _ = bench;
    const { context, id, outcome } = await come(bench, vault);
    expect(outcome.kind).toBe('completed');
    expect(await getConnectSession(context, id)).toMatchObject({
      state: 'completed',
      addScopes: [coql],
      grantedScopes: [leads, coql],
      narrower: [],
    });
    expect((await vault.grants.get(key))?.scopes).toEqual([leads, coql]);
    expect(families(bench)).toHaveLength(1);
  });

  it('waits for the backend where the link says so', async () => {
    const { bench, vault } = await connected(kind);
    await using _ = bench;
    const { context, id, outcome, prove } = await come(bench, vault, { returnTo: 'https://app.example/back' });
    if (outcome.kind !== 'pending') throw new Error(outcome.kind);
    expect((await vault.grants.get(key))?.scopes).toEqual([leads]);
    const grant = await completeConnectSessionOf(context, id, { completionCode: outcome.completionCode }, prove);
    expect(grant.scopes).toEqual([leads, coql]);
    expect((await getConnectSession(context, id)).state).toBe('completed');
  });

  it.each([
    ['not_from_the_provider', (callback: URL) => withParameter(callback, 'location', 'nowhere')],
    ['state_of_another_app', (callback: URL) => new URL(`/callback/${'a'.repeat(22)}${callback.search}`, callback)],
  ])('refuses a callback as %s', async (reason, forge) => {
    const { bench, vault } = await connected(kind);
    await using _ = bench;
    const { outcome } = await come(bench, vault, { forge });
    expect(outcome).toEqual({ kind: 'refused', reason });
    expect((await vault.grants.get(key))?.scopes).toEqual([leads]);
  });

  it('says that the app was changed, where it was', async () => {
    const { bench, vault } = await connected(kind);
    await using _ = bench;
    const pause = async () => {
      const { providers } = internalsOf(vault).open();
      const definition = await providers.require(key.provider);
      const elsewhere = JSON.stringify(definition).replaceAll('//accounts.zoho.', '//accounts.elsewhere.');
      await providers.put(JSON.parse(elsewhere), { mayMove: true });
      await bench.jump(3_000);
    };
    const { outcome } = await come(bench, vault, { pause });
    expect(outcome).toEqual({ kind: 'refused', reason: 'changed_meanwhile' });
  });
});

function withParameter(url: URL, name: string, value: string): URL {
  url.searchParams.set(name, value);
  return url;
}
