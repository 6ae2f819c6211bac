/** More scopes for an existing grant: the refresh token stays where the provider can, and a new consent elsewhere. */
import { describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { completeConnectSessionOf } from './completion.ts';
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
async function connected(scopes: readonly string[] = [leads]): Promise<{ bench: Bench; vault: Vault }> {
  const bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  const clientSecret = demoClient.secret ?? '';
  const app = { provider: key.provider, clientId: demoClient.clientId, clientSecret, dc: 'us', scopes };
  await vault.apps.put('crm', { ...app, returnTo: ['https://app.example/back'] });
  bench.simulator.registry.autoApprove = true;
  const { url } = await vault.authorize({ ...key, redirectUri });
  await vault.completeAuthorization(await visit(bench, url));
  // Zoho allows few requests per refresh token and minute.
  await bench.jump(700_000);
  return { bench, vault };
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
    await expect(vault.authorize({ ...key, redirectUri, addScopes: [coql] })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('has these scopes already'),
    });
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

describe('a connect session that adds scopes', () => {
  async function come(bench: Bench, vault: Vault, returnTo: string | undefined) {
    const context = internalsOf(vault).open();
    const { handOut } = internalsOf(vault);
    const { id, url } = await createConnectSession(context, publicUrl, { ...key, addScopes: [coql], returnTo });
    const started = await startConnect(context, publicUrl, { token: url.split('/').at(-1) ?? '', browser: 'browser' });
    const { pathname, search } = new URL(await visit(bench, 'url' in started ? started.url : ''));
    const came = { context: pathname.split('/').at(-1) ?? '', search, browser: 'browser' };
    const outcome = await receiveConnectCallback(context, publicUrl, came, (of, generation) =>
      handOut.prove(of, generation),
    );
    return { context, id, outcome };
  }

  it('ends at the callback, and says what was granted', async () => {
    const { bench, vault } = await connected();
    await using _ = bench;
    const { context, id, outcome } = await come(bench, vault, undefined);
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
    const { bench, vault } = await connected();
    await using _ = bench;
    const { context, id, outcome } = await come(bench, vault, 'https://app.example/back');
    if (outcome.kind !== 'pending') throw new Error(outcome.kind);
    expect((await vault.grants.get(key))?.scopes).toEqual([leads]);
    const grant = await completeConnectSessionOf(context, id, { completionCode: outcome.completionCode });
    expect(grant.scopes).toEqual([leads, coql]);
    expect((await getConnectSession(context, id)).state).toBe('completed');
  });
});
