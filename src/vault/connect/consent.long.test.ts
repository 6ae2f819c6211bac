/** A consent is the customer's word, and its code works once: neither a crash nor an outage may lose the answer. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, tidyUp, until, user } from '../../../test/support/bench.ts';
import { consent, filesOf, key, openSession } from '../../../test/support/consents.ts';
import { GrantryError } from '../../base/errors.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import { Consents } from '../spool/consents.ts';
import type { Vault } from '../types.ts';

/** Takes the database away from a vault as soon as the provider has answered. Returns how to bring it back. */
function awayAfterAnswer(bench: Bench, vault: Vault): () => void {
  const { store } = internalsOf(vault).open();
  const real = store.transaction.bind(store);
  const before = bench.requests().length;
  const spy = vi.spyOn(store, 'transaction').mockImplementation(async (run, options) => {
    if (bench.requests().length === before) return real(run, options);
    throw new GrantryError('storage_unavailable', 'The database went away.');
  });
  return () => spy.mockRestore();
}

const alive = (bench: Bench) => bench.simulator.families().filter((family) => family.alive).length;

async function outage(bench: Bench, vault: Vault, call: () => Promise<unknown>): Promise<void> {
  const back = awayAfterAnswer(bench, vault);
  const failed = codeOf(call());
  await until(() => filesOf(bench).some((name) => name.endsWith('.consent')), 'the answer in the spool');
  await bench.pass(25_000);
  expect(await failed).toBe('storage_unavailable');
  back();
}

const zoho = { tenant: 'acme', provider: 'zoho_crm' };

/** Adds the app of Zoho, and returns a code that a person made in its console. */
async function selfClientCode(bench: Bench, vault: Vault): Promise<Secret> {
  await bench.addApp(vault, 'zoho_crm');
  const scopes = ['ZohoCRM.modules.ALL'];
  return new Secret(bench.simulator.mintCode({ clientId: demoClient.clientId, user, scopes }));
}

describe.each(databaseKinds)('a consent whose save fails, on %s', (kind) => {
  it('waits out a short outage', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    const back = awayAfterAnswer(bench, vault);
    const grant = vault.completeAuthorization(callback);
    await until(() => filesOf(bench).some((name) => name.endsWith('.consent')), 'the answer in the spool');
    await bench.pass(2_000);
    back();
    await bench.pass(1_000);
    expect(await grant).toMatchObject({ state: 'active', generation: 1 });
    expect(filesOf(bench)).toEqual([]);
  });

  it('is stored when the callback comes again, without another exchange', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    const grant = await vault.completeAuthorization(callback);
    expect(grant).toMatchObject({ state: 'active', generation: 1 });
    expect(await vault.completeAuthorization(callback)).toEqual(grant);
    expect([bench.requests().length, alive(bench), filesOf(bench)]).toEqual([1, 1, []]);
  });

  it('is stored by the next round of the workers', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    await tidyUp(vault);
    expect(await vault.grants.get(key)).toMatchObject({ state: 'active', generation: 1 });
    expect(await vault.completeAuthorization(callback)).toMatchObject({ generation: 1 });
  });

  it('is stored by the next start after a crash', async () => {
    await using bench = await makeBench({ kind });
    const first = await bench.open();
    const callback = await consent(bench, first.vault);
    awayAfterAnswer(bench, first.vault);
    first.vault.completeAuthorization(callback).catch(() => {});
    await until(() => filesOf(bench).some((name) => name.endsWith('.consent')), 'the answer in the spool');
    await bench.crash(first);
    await bench.jump(60_000);
    const { vault } = await bench.open();
    expect(await vault.completeAuthorization(callback)).toMatchObject({ state: 'active', generation: 1 });
    expect([bench.requests().length, filesOf(bench)]).toEqual([1, []]);
  });

  it('is revoked when the tenant connected anew meanwhile', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    const newer = await vault.completeAuthorization(await consent(bench, vault));
    await tidyUp(vault);
    expect([await vault.grants.get(key), filesOf(bench)]).toEqual([{ ...newer, calls: [] }, []]);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    await tidyUp(vault);
    expect(alive(bench)).toBe(1);
    await vault.getAccessToken(key, { minValidity: 3_600 });
  });

  it('is never stored over a newer one', async () => {
    await using bench = await makeBench({ kind });
    const [{ vault: slow }, { vault: other }] = [await bench.open(), await bench.open()];
    const callback = await consent(bench, slow);
    const back = awayAfterAnswer(bench, slow);
    const late = codeOf(slow.completeAuthorization(callback));
    await until(() => filesOf(bench).some((name) => name.endsWith('.consent')), 'the answer in the spool');
    await bench.pass(1_000);
    const newer = await other.completeAuthorization(await consent(bench, other));
    back();
    await bench.pass(2_000);
    expect(await late).toBe('authorization_failed');
    expect(await other.grants.get(key)).toEqual({ ...newer, calls: [] });
    await other.getAccessToken(key, { minValidity: 3_600 });
  });

  it('is stored if it is the newest of several in the spool', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    await outage(bench, vault, async () => vault.completeAuthorization(await consent(bench, vault)));
    const callback = await consent(bench, vault);
    const back = awayAfterAnswer(bench, vault);
    const failed = codeOf(vault.completeAuthorization(callback));
    await until(() => filesOf(bench).filter((name) => name.endsWith('.consent')).length === 2, 'the second answer');
    await bench.pass(25_000);
    expect(await failed).toBe('storage_unavailable');
    back();
    await tidyUp(vault);
    const grant = await vault.completeAuthorization(callback);
    expect(grant).toMatchObject({ state: 'active', generation: 2 });
    expect(filesOf(bench)).toEqual([]);
    await bench.jump(4_000_000);
    await vault.getAccessToken(key);
    expect(bench.requests().at(-1)).toMatchObject({ family: bench.simulator.families().at(-1)?.id });
  });

  it.each(['tokens', 'a consent'])('is stored over %s from before the clock was set back', async (older) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    await bench.jump(3_600_000);
    if (older === 'tokens') await bench.connect(vault, key);
    else await vault.completeAuthorization(await consent(bench, vault));
    await bench.jump(-3_600_000);
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    expect(await vault.completeAuthorization(callback)).toMatchObject({ state: 'active', generation: 2 });
    expect(await vault.completeAuthorization(await consent(bench, vault))).toMatchObject({ generation: 3 });
  });

  it('is stored over an older one that another clock dated later and that was under way at once', async () => {
    await using bench = await makeBench({ kind });
    const [{ vault: slow }, { vault: other }] = [await bench.open(), await bench.open()];
    await bench.jump(3_600_000);
    const [first, second] = [await consent(bench, slow), await consent(bench, other)];
    await outage(bench, slow, () => slow.completeAuthorization(first));
    await bench.jump(-3_600_000);
    await outage(bench, other, () => other.completeAuthorization(second));
    await slow.completeAuthorization(first);
    const stored = await other.completeAuthorization(second);
    expect(stored).toMatchObject({ state: 'active', generation: 2 });
    await other.getAccessToken(key, { minValidity: 3_600 });
    expect(bench.requests().at(-1)).toMatchObject({ family: bench.simulator.families().at(-1)?.id });
  });

  it('is stored over a newer one that brought no refresh token', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    await bench.connect(vault, key);
    const [callback, bare] = [await consent(bench, vault), await consent(bench, vault)];
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set: {}, remove: ['refresh_token'] } });
    await vault.completeAuthorization(bare);
    const stored = (await vault.completeAuthorization(callback)).generation;
    await vault.rejectAccessToken(key, stored);
    expect(bench.requests().at(-1)).toMatchObject({ family: bench.simulator.families().at(1)?.id });
  });

  it('is revoked when a program stored tokens meanwhile, also if the clock was set back', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    await bench.jump(3_600_000);
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    await bench.jump(-3_600_000);
    const { key: stored } = await bench.connect(vault, key);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    expect([await vault.grants.get(stored), filesOf(bench)]).toMatchObject([{ generation: 1 }, []]);
  });

  it('is revoked when the grant was disconnected meanwhile', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    await vault.completeAuthorization(await consent(bench, vault));
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    await vault.disconnect(key);
    expect([(await vault.grants.get(key))?.state, filesOf(bench)]).toEqual(['disconnected', []]);
    expect(bench.simulator.families().at(-1)?.alive).toBe(false);
  });

  it('is ended by a disconnect that comes before the grant is there', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    expect(await vault.disconnect(key)).toEqual({ revocation: 'revoked' });
    await tidyUp(vault);
    expect([(await vault.grants.get(key))?.state, alive(bench), filesOf(bench)]).toEqual(['disconnected', 0, []]);
  });

  it('is stored once when the answer of the commit was lost', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { store } = internalsOf(vault).open();
    const real = store.transaction.bind(store);
    const before = bench.requests().length;
    // The commit succeeds, and its answer does not arrive.
    const spy = vi.spyOn(store, 'transaction').mockImplementation(async (run, options) => {
      const result = await real(run, options);
      if (bench.requests().length === before) return result;
      throw new GrantryError('storage_unavailable', 'The connection broke.');
    });
    const callback = await consent(bench, vault);
    const grant = await vault.completeAuthorization(callback);
    spy.mockRestore();
    expect([grant.generation, filesOf(bench), alive(bench)]).toEqual([1, [], 1]);
  });

  it('of a code without a callback is stored when the code comes again', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const code = await selfClientCode(bench, vault);
    await outage(bench, vault, () => vault.redeemCode(zoho, { code, dc: 'us' }));
    expect(await vault.redeemCode(zoho, { code, dc: 'us' })).toMatchObject({ state: 'active', generation: 1 });
    expect(await vault.redeemCode(zoho, { code, dc: 'us' })).toMatchObject({ generation: 1 });
    expect([bench.requests().length, filesOf(bench)]).toEqual([1, []]);
  });

  it('of a code without a callback is exchanged once by callers at the same time', async () => {
    await using bench = await makeBench({ kind, profiles: ['zoho'] });
    const { vault } = await bench.open();
    const code = await selfClientCode(bench, vault);
    const grants = await Promise.all([1, 2].map(() => vault.redeemCode(zoho, { code, dc: 'us' })));
    expect(grants.map(({ generation }) => generation)).toEqual([1, 1]);
    expect([bench.requests().length, filesOf(bench)]).toEqual([1, []]);
  });

  it('several times at once is exchanged once, and all callers get the grant', async () => {
    await using bench = await makeBench({ kind });
    const [one, other] = [await bench.open(), await bench.open()];
    const callback = await consent(bench, one.vault);
    const all = Promise.all(
      [one, other, one].map(({ vault }) => vault.completeAuthorization(callback).then(({ generation }) => generation)),
    );
    let done = false;
    const end = () => {
      done = true;
    };
    all.then(end, end);
    await bench.pass(20_000, () => done);
    expect(await all).toEqual([1, 1, 1]);
    expect(bench.requests()).toHaveLength(1);
  });
});

describe.each(databaseKinds)('a connect session whose save failed, on %s', (kind) => {
  it('is finished later, and its browser sees that', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const callback = await openSession(bench, vault);
    await outage(bench, vault, callback);
    await tidyUp(vault);
    expect(await vault.grants.get(key)).toMatchObject({ state: 'active', generation: 1 });
    expect(await callback()).toMatchObject({ kind: 'completed' });
  });

  it.each(['connected anew', 'disconnected'])('does not undo that the tenant %s meanwhile', async (how) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const elsewhere = await bench.open({ spool: join(bench.home, 'another-host') });
    await elsewhere.vault.completeAuthorization(await consent(bench, elsewhere.vault));
    const callback = await openSession(bench, vault);
    await outage(bench, vault, callback);
    if (how === 'disconnected') {
      // Another grant keeps the tenant's keys, which open the file.
      await elsewhere.vault.storeTokens({ ...key, account: 'other' }, { refreshToken: 'of-another-account' });
      await elsewhere.vault.disconnect(key);
    } else await elsewhere.vault.completeAuthorization(await consent(bench, elsewhere.vault));
    const before = await vault.grants.get(key);
    await tidyUp(vault);
    expect([await vault.grants.get(key), filesOf(bench)]).toEqual([before, []]);
    expect(await callback()).toMatchObject({ kind: 'ended' });
    await tidyUp(vault);
    // At this provider the first consent of two lives on.
    expect(alive(bench)).toBe(how === 'disconnected' ? 0 : 2);
  });
});

describe('the file of a consent', () => {
  it('holds no secret, and does not open when its head was edited', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    await outage(bench, vault, () => vault.completeAuthorization(callback));
    const [name = ''] = filesOf(bench);
    const path = join(bench.home, 'spool', 'consents', name);
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain(new URL(callback).searchParams.get('code'));
    expect(text).not.toMatch(/access_token|refresh_token/);
    writeFileSync(path, text.replace('"tenant":"acme"', '"tenant":"evil"'));
    await tidyUp(vault).catch(() => {});
    expect([await vault.grants.get({ ...key, tenant: 'evil' }), filesOf(bench).length]).toEqual([null, 1]);
  });

  it('stays when the answer was not understood, and goes when the code was refused', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const callback = await consent(bench, vault);
    bench.simulator.faults.add({
      endpoint: 'token',
      effect: { kind: 'patch', set: { access_token: 7, refresh_token: 8 } },
    });
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    expect(filesOf(bench)).toEqual([expect.stringMatching(/\.unread$/)]);
    // The code is spent, so the same callback fails at once, and so does a code that was refused.
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('authorization_failed');
    const other = new URL(await consent(bench, vault));
    other.searchParams.set('code', 'never-issued');
    expect(await codeOf(vault.completeAuthorization(other))).toBe('authorization_failed');
    expect(await codeOf(vault.completeAuthorization(other))).toBe('authorization_failed');
    expect([filesOf(bench).length, bench.requests().length]).toEqual([1, 2]);
  });

  it('outlives the answer to another exchange of its code', async () => {
    await using bench = await makeBench({ profiles: ['zoho'] });
    const [one, other] = [await bench.open(), await bench.open()];
    const code = await selfClientCode(bench, one.vault);
    // Another process of this host looks for the file just before the first one writes it.
    const find = vi.spyOn(Consents.prototype, 'find').mockResolvedValue(undefined);
    await outage(bench, one.vault, () => one.vault.redeemCode(zoho, { code, dc: 'us' }));
    expect(await codeOf(other.vault.redeemCode(zoho, { code, dc: 'us' }))).toBe('authorization_failed');
    find.mockRestore();
    expect(filesOf(bench)).toHaveLength(1);
    expect(await one.vault.redeemCode(zoho, { code, dc: 'us' })).toMatchObject({ generation: 1 });
  });

  it('must be writable before the code is sent', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open({ spool: join(bench.home, 'root.key', 'spool') });
    const callback = await consent(bench, vault);
    expect(await codeOf(vault.completeAuthorization(callback))).toBe('storage_unavailable');
    const second = await bench.open();
    expect(await second.vault.completeAuthorization(callback)).toMatchObject({ state: 'active' });
  });
});
