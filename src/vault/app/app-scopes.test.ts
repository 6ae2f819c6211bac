/** The scopes of an app: what is noticed, the reasons that are kept, and the PKCE switch. */
import { describe, expect, it } from 'vitest';
import { type Bench, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { findApp, putApp } from '../../storage/statements/apps.ts';
import { createConnectSession } from '../connect/sessions.ts';
import { internalsOf } from '../internals.ts';
import type { AppInput } from '../types.ts';

const wide = 'ZohoCRM.modules.ALL';
const redirectUri = 'https://app.example/callback';

const appWith = (more: Partial<AppInput>): AppInput => ({
  provider: 'zoho_crm',
  clientId: demoClient.clientId,
  clientSecret: demoClient.secret ?? '',
  dc: 'us',
  ...more,
});

async function visit(bench: Bench, url: string): Promise<string> {
  const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
  return response.headers.get('location') ?? '';
}

describe.each(databaseKinds)('the scopes of an app, on %s', (kind) => {
  it('are warned of, spelt as the provider does, and listed until a reason is kept', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const scopes = ['zohocrm.MODULES.all', 'ZohoCRM.coqll.READ'];
    const stored = await vault.apps.put('crm', appWith({ scopes }));
    expect(stored.scopes).toEqual([wide, 'ZohoCRM.coqll.READ']);
    expect(stored.warnings.map(({ kind: what }) => what)).toEqual(['spelling', 'broad', 'misspelt']);
    expect(await vault.apps.get('crm')).toMatchObject({ scopesWithoutReason: [wide], scopeReasons: {}, pkce: null });
    const reasons = { 'zohocrm.modules.ALL': 'Syncs every module both ways.' };
    const explained = await vault.apps.put('crm', appWith({ scopes, scopeReasons: reasons }));
    expect(explained.warnings.map(({ kind: what }) => what)).toEqual(['spelling', 'misspelt']);
    const [listed] = await vault.apps.list();
    expect(listed).toMatchObject({
      scopesWithoutReason: [],
      scopeReasons: { [wide]: 'Syncs every module both ways.' },
    });
    // Another process reads the same, beside a MAC that covers the reasons.
    const { vault: other } = await bench.open();
    expect(await other.apps.get('crm')).toEqual(listed);
  });

  it('are refused only when they cannot exist, and reasons when they are no reasons', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const put = (more: Partial<AppInput>) => vault.apps.put('crm', appWith(more));
    await expect(put({ scopes: ['ZohoCRM.modules.*'] })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(put({ scopes: [wide], scopeReasons: { 'ZohoCRM.org.READ': 'why' } })).rejects.toThrow(
      'no scope of the app',
    );
    const token = '1000.8cb99d0123456789abcdef0123456789.9b8a0123456789abcdef0123456789ab';
    await expect(put({ scopes: [wide], scopeReasons: { [wide]: `as ${token} can` } })).rejects.toThrow('holds a token');
    await expect(put({ scopes: [wide], scopeReasons: { [wide]: 'x'.repeat(501) } })).rejects.toThrow('500');
    expect((await put({ scopes: ['ZohoCRM.brand.new.READ'] })).warnings).toMatchObject([{ level: 'warning' }]);
  });

  it('that are older than a rule of the check hinder no change of the app, and new ones are refused', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const old = 'ZohoCRM.modules.*';
    await vault.apps.put('crm', appWith({ scopes: [wide] }));
    const { store } = internalsOf(vault).open();
    await store.transaction(async (tx) => {
      const row = await findApp(tx, 'crm');
      if (row !== undefined)
        await putApp(tx, { ...row, generation: row.generation + 1, scopes: JSON.stringify([old]) });
    });
    const changed = await vault.apps.put('crm', appWith({ scopes: [old], clientSecret: 'another-secret' }));
    expect(changed).toMatchObject({ scopes: [old], warnings: [{ kind: 'impossible' }] });
    const both = vault.apps.put('crm', appWith({ scopes: [old, 'ZohoCRM.{module}.READ'] }));
    await expect(both).rejects.toThrow('ZohoCRM.{module}.READ is no scope');
  });

  it('that reach far are named at a connect only while no reason is kept', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'zoho_crm' };
    const warnings = async () => {
      const own = await vault.authorize({ ...key, redirectUri });
      const named = await vault.authorize({ ...key, redirectUri, scopes: ['zohocrm.modules.all'] });
      const context = internalsOf(vault).open();
      const link = await createConnectSession(context, 'https://grantry.example', key);
      return [own, named, link].map((each) => each.warnings.some(({ kind: what }) => what === 'broad'));
    };
    await vault.apps.put('crm', appWith({ scopes: [wide] }));
    expect(await warnings()).toEqual([true, true, true]);
    await vault.apps.put('crm', appWith({ scopes: [wide], scopeReasons: { [wide]: 'Syncs every module.' } }));
    expect(await warnings()).toEqual([false, false, false]);
  });

  it('an altered reason or PKCE switch fails the MAC', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    await vault.apps.put('crm', appWith({ scopes: [wide], pkce: 'S256' }));
    await bench.judge.transaction(async (tx) => {
      await tx.updateTable('grantry_apps').set({ pkce: 'off' }).where('name', '=', 'crm').execute();
    });
    await expect(vault.apps.get('crm')).rejects.toMatchObject({ code: 'integrity_failed' });
  });
});

it('an app that switches PKCE off connects without challenge and verifier', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  await vault.apps.put('crm', appWith({ scopes: ['ZohoCRM.org.READ'], pkce: 'off' }));
  bench.simulator.registry.autoApprove = true;
  const { url } = await vault.authorize({ tenant: 'acme', provider: 'zoho_crm', redirectUri });
  expect(new URL(url).searchParams.has('code_challenge')).toBe(false);
  expect(await vault.completeAuthorization(await visit(bench, url))).toMatchObject({ state: 'active' });
  await vault.apps.put('crm', appWith({ scopes: ['ZohoCRM.org.READ'] }));
  const again = await vault.authorize({ tenant: 'acme', provider: 'zoho_crm', redirectUri });
  expect(new URL(again.url).searchParams.get('code_challenge_method')).toBe('S256');
});

it('a grant tells what was asked for and not granted', async () => {
  await using bench = await makeBench({ profiles: ['zoho'] });
  const { vault } = await bench.open();
  await vault.apps.put('crm', appWith({ scopes: ['ZohoCRM.org.READ', 'ZohoCRM.users.READ'] }));
  bench.simulator.registry.autoApprove = true;
  bench.simulator.zoho.change({ scopeInAnswer: true });
  const key = { tenant: 'acme', provider: 'zoho_crm' };
  const { url } = await vault.authorize({ ...key, redirectUri });
  // The user, or an administrator, took a scope out.
  const narrowed = new URL(url);
  narrowed.searchParams.set('scope', 'ZohoCRM.org.READ');
  await vault.completeAuthorization(await visit(bench, narrowed.href));
  const expected = { scopes: ['ZohoCRM.org.READ'], scopesMissing: ['ZohoCRM.users.READ'] };
  expect(await vault.grants.get(key)).toMatchObject(expected);
  expect((await vault.grants.list()).items).toMatchObject([expected]);
});
