/** A caller that may move an unused provider gets no token that is on its way: neither before, while nor after it is stored. */
import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, tidyUp } from '../../../test/support/bench.ts';
import type { TestWorld } from '../../../test/support/world.ts';
import { GrantryError } from '../../base/errors.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { completeConnectSessionOf, discardUnclaimed } from './completion.ts';
import { receiveConnectCallback, startConnect } from './flow.ts';
import { createConnectSession } from './sessions.ts';

const publicUrl = 'https://grantry.example';
const returnTo = 'https://app.example/back';
const key = { tenant: 'acme', provider: 'mine' };
const evil = 'http://evil.example:9';

interface Setting {
  readonly bench: Bench;
  readonly vault: Vault;
  readonly world: TestWorld;
  /** The addresses that the vault sent requests to. */
  readonly sent: string[];
  /** Puts the definition as an operator (`mayMove` false) or an admin, at another place or as it was. */
  readonly move: (to: 'evil' | 'home', mayMove: boolean) => Promise<unknown>;
}

async function setting(kind: 'sqlite' | 'postgres'): Promise<Setting & AsyncDisposable> {
  const bench = await makeBench({ kind });
  const { vault, world } = await bench.open({ providers: [] });
  const sent: string[] = [];
  world.onSend = (url) => sent.push(url);
  const definition = { ...bench.simulator.definition('strict'), id: 'mine' };
  const { endpoints } = definition;
  const away = { ...definition, endpoints: { ...endpoints, token: `${evil}/token`, revocation: `${evil}/revoke` } };
  const catalogue = internalsOf(vault).open().providers;
  await catalogue.put(definition);
  const app = { provider: 'mine', clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' };
  await vault.apps.put('mine', { ...app, returnTo: [returnTo] });
  const move = (to: 'evil' | 'home', mayMove: boolean) => catalogue.put(to === 'evil' ? away : definition, { mayMove });
  return { bench, vault, world, sent, move, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

/** Opens a link and comes back from the provider. */
async function connect({ bench, vault }: Setting, pause: () => Promise<void> = async () => {}) {
  const context = internalsOf(vault).open();
  const { id, url } = await createConnectSession(context, publicUrl, { ...key, scopes: ['read'], returnTo });
  const started = await startConnect(context, publicUrl, { token: url.split('/').at(-1) ?? '', browser: url });
  const response = await bench.simulator.fetch(
    new Request('url' in started ? started.url : '', { redirect: 'manual' }),
  );
  const { pathname, search } = new URL(response.headers.get('location') ?? '');
  await pause();
  const came = { context: pathname.split('/').at(-1) ?? '', search, browser: url };
  const outcome = await receiveConnectCallback(context, publicUrl, came);
  const completionCode = 'completionCode' in outcome ? outcome.completionCode : '';
  return { id, outcome, complete: () => completeConnectSessionOf(context, id, { completionCode }) };
}

const livingFamilies = (bench: Bench) => bench.simulator.families().filter((family) => family.alive).length;

describe.each(databaseKinds)('tokens of a link that wait for their completion code, on %s', (kind) => {
  it('keep an operator from moving their provider, and everybody from replacing their app', async () => {
    await using here = await setting(kind);
    const { complete } = await connect(here);
    expect(await codeOf(here.vault.apps.remove('mine'))).toBe('invalid_request');
    const other = here.vault.apps.put('mine', { provider: 'mine', clientId: 'other', clientSecret: 'x' });
    await expect(other).rejects.toThrow('is under way');
    expect(await codeOf(here.move('evil', false))).toBe('forbidden');
    await expect(here.vault.providers.remove('mine')).rejects.toThrow('has apps');
    expect(await complete()).toMatchObject({ state: 'active' });
  });

  it('are not stored at a place to which an admin moved it, and are if it is moved back', async () => {
    await using here = await setting(kind);
    const { complete } = await connect(here);
    await here.move('evil', true);
    await here.bench.jump(3_000);
    await expect(complete()).rejects.toMatchObject({
      code: 'authorization_failed',
      message: expect.stringContaining('was changed while this connection was under way'),
    });
    expect(await here.vault.grants.get(key)).toBeNull();
    await here.move('home', true);
    await here.bench.jump(3_000);
    expect(await complete()).toMatchObject({ state: 'active' });
  });

  it('are shredded at their end if the provider stands elsewhere, and not sent to be revoked', async () => {
    await using here = await setting(kind);
    const { complete } = await connect(here);
    await here.move('evil', true);
    const before = here.sent.length;
    await here.bench.jump(3_600_000);
    await discardUnclaimed(internalsOf(here.vault).open());
    await tidyUp(here.vault);
    const queued = await here.bench.judge.db.selectFrom('grantry_revocations').selectAll().execute();
    expect([queued, here.sent.length, livingFamilies(here.bench)]).toEqual([[], before, 1]);
    expect(await codeOf(complete())).toBe('authorization_failed');
  });
});

describe.each(databaseKinds)('a connection under way, on %s', (kind) => {
  it('keeps app and provider until its request is over', async () => {
    await using here = await setting(kind);
    await here.vault.authorize({ ...key, redirectUri: 'https://app.example/callback' });
    expect(await codeOf(here.vault.apps.remove('mine'))).toBe('invalid_request');
    expect(await codeOf(here.move('evil', false))).toBe('forbidden');
    await here.bench.jump(3_600_000);
    await here.vault.apps.remove('mine');
    await here.move('evil', false);
  });

  it('that an admin moved is refused before its code is sent', async () => {
    await using here = await setting(kind);
    const { outcome } = await connect(here, async () => {
      await here.move('evil', true);
      await here.bench.jump(3_000);
    });
    expect(outcome).toEqual({ kind: 'refused', reason: 'changed_meanwhile' });
    expect(here.sent).toEqual([]);
  });

  it('whose app is another one at the callback is refused, also under the same name', async () => {
    await using here = await setting(kind);
    const { outcome } = await connect(here, async () => {
      const db = here.bench.judge.db;
      // The vault refuses this while the connection is under way.
      await db.deleteFrom('grantry_authorizations').where('used_at', 'is not', null).execute();
      const rows = await db.selectFrom('grantry_authorizations').selectAll().execute();
      await db.deleteFrom('grantry_authorizations').execute();
      await here.vault.apps.remove('mine');
      await here.vault.apps.put('mine', {
        provider: 'mine',
        clientId: 'other',
        clientSecret: 'x',
        returnTo: [returnTo],
      });
      await db.insertInto('grantry_authorizations').values(rows).execute();
    });
    expect(outcome).toEqual({ kind: 'refused', reason: 'state_of_another_app' });
    expect(here.sent).toEqual([]);
  });

  it('that a crash left in the spool is set aside if the provider was moved, and no token is sent', async () => {
    await using here = await setting(kind);
    const { bench, vault } = here;
    const { store } = internalsOf(vault).open();
    const real = store.transaction.bind(store);
    const context = internalsOf(vault).open();
    const { url } = await vault.authorize({ ...key, redirectUri: 'https://app.example/callback', scopes: ['read'] });
    const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
    store.transaction = async (run, options) => {
      if (bench.requests().length === 0) return real(run, options);
      throw new GrantryError('internal', 'The process died here.');
    };
    expect(await codeOf(vault.completeAuthorization(response.headers.get('location') ?? ''))).toBe('internal');
    store.transaction = real;
    await here.move('evil', true);
    await bench.jump(120_000);
    const before = here.sent.length;
    await tidyUp(vault);
    expect(await vault.grants.get(key)).toBeNull();
    const kept = readdirSync(join(context.spoolDirectory, 'consents'));
    expect(kept).toEqual([expect.not.stringMatching(/\.consent$/)]);
    expect([here.sent.length, livingFamilies(bench)]).toEqual([before, 1]);
  });

  it.each(['its time is over', 'its grant is disconnected'])(
    'that is set aside stays sealed when %s, and is revoked once the provider is back',
    async (when) => {
      await using here = await setting(kind);
      const { bench, vault } = here;
      const context = internalsOf(vault).open();
      const folder = join(context.spoolDirectory, 'consents');
      const age = () => {
        const old = (bench.clock.now() - context.condemnedKeptMs - 86_400_000) / 1_000;
        for (const name of readdirSync(folder)) utimesSync(join(folder, name), old, old);
      };
      // Another grant of the tenant keeps the tenant's keys.
      await vault.storeTokens({ ...key, account: 'two' }, { refreshToken: 'of-another-account', app: 'mine' });
      await vault.storeTokens(key, { refreshToken: 'of-an-earlier-consent', app: 'mine' });
      const { url } = await vault.authorize({ ...key, redirectUri: 'https://app.example/callback', scopes: ['read'] });
      const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
      const { store } = context;
      const real = store.transaction.bind(store);
      store.transaction = async (run, options) => {
        if (bench.requests().length === 0) return real(run, options);
        throw new GrantryError('internal', 'The process died here.');
      };
      expect(await codeOf(vault.completeAuthorization(response.headers.get('location') ?? ''))).toBe('internal');
      store.transaction = real;
      await here.move('evil', true);
      await bench.jump(120_000);
      await tidyUp(vault);
      if (when === 'its grant is disconnected') await vault.disconnect(key).catch(() => {});
      const before = here.sent.filter((to) => to.startsWith(evil)).length;
      const living = () => bench.simulator.families().filter((family) => family.alive).length;
      const all = living();
      age();
      await tidyUp(vault);
      await tidyUp(vault);
      expect(readdirSync(folder)).toEqual([expect.stringMatching(/\.unread$/)]);
      expect([here.sent.filter((to) => to.startsWith(evil)).length, living()]).toEqual([before, all]);
      await here.move('home', true);
      await bench.jump(3_000);
      age();
      await tidyUp(vault);
      await tidyUp(vault);
      expect(readdirSync(folder)).toEqual([]);
      expect(living()).toBe(all - 1);
    },
  );
});

/** Runs something once, between what a call has read and the transaction in which it stores. */
function beforeStoring(vault: Vault, run: () => Promise<unknown>): void {
  const { store } = internalsOf(vault).open();
  const real = store.transaction.bind(store);
  store.transaction = async (work, options) => {
    store.transaction = real;
    await run();
    return real(work, options);
  };
}

describe.each(databaseKinds)('tokens that are handed in, on %s', (kind) => {
  it('are not stored if their provider is moved, or their app removed, in this moment', async () => {
    await using here = await setting(kind);
    const { vault: second } = await here.bench.open({ providers: [] });
    const store = () => here.vault.storeTokens(key, { refreshToken: 'a-refresh-token', app: 'mine' });
    // So that the tenant's keys are made before.
    await here.vault.storeTokens({ ...key, account: 'two' }, { refreshToken: 'another-token', app: 'mine' });
    await here.vault.disconnect({ ...key, account: 'two' }, { revoke: false });
    await here.vault.storeTokens(
      { tenant: 'acme', provider: 'mine', account: 'three' },
      { refreshToken: 'third-token' },
    );
    beforeStoring(here.vault, () => here.move('evil', true));
    expect(await codeOf(store())).toBe('authorization_failed');
    await here.move('home', true);
    await here.bench.jump(3_000);
    await here.vault.disconnect({ ...key, account: 'three' }, { revoke: false });
    await here.vault.apps.put('other', { provider: 'mine', clientId: 'x', clientSecret: 'y' });
    beforeStoring(here.vault, () => second.apps.remove('mine'));
    expect(await codeOf(store())).toBe('authorization_failed');
    expect(await here.vault.grants.get(key)).toBeNull();
  });
});

it('a token past its time is not sent to be revoked by another app of the same name', async () => {
  await using here = await setting('sqlite');
  await here.vault.storeTokens(key, { refreshToken: 'a-refresh-token', app: 'mine' });
  const { bench, vault, world } = here;
  world.offline = true;
  expect(await vault.disconnect(key)).toMatchObject({ revocation: 'queued' });
  expect(await codeOf(vault.apps.remove('mine'))).toBe('invalid_request');
  await bench.jump(8 * 86_400_000);
  await vault.apps.remove('mine');
  world.offline = false;
  expect(await bench.judge.db.selectFrom('grantry_revocations').selectAll().execute()).toEqual([]);
});
