/** A code that was never sent still works, so the same callback succeeds later. */
import { describe, expect, it, vi } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench } from '../../../test/support/bench.ts';
import { consent, key, openSession } from '../../../test/support/consents.ts';
import { GrantryError } from '../../base/errors.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';

const away = new GrantryError('storage_unavailable', 'The database went away.');

/**
 * Takes the database away as soon as a callback has taken its request. Returns how to bring it back.
 *
 * @param what `reads` leaves the writes, so that the request can be given back at once
 */
function awayAfterTaking(vault: Vault, what: 'all' | 'reads'): () => void {
  const { store } = internalsOf(vault).open();
  const [transaction, nowMs] = [store.transaction.bind(store), store.nowMs.bind(store)];
  let taken = false;
  const spies = [
    vi.spyOn(store, 'transaction').mockImplementation(async (run, options) => {
      if (taken && what === 'all') throw away;
      const result = await transaction(run, options);
      taken = true;
      return result;
    }),
    vi.spyOn(store, 'nowMs').mockImplementation(async () => {
      if (taken) throw away;
      return nowMs();
    }),
  ];
  return () => {
    for (const spy of spies) spy.mockRestore();
  };
}

/** Starts a consent and returns its callback, as a caller or a browser repeats it. */
async function begin(bench: Bench, vault: Vault, how: string): Promise<() => Promise<unknown>> {
  if (how === 'a connect session') return openSession(bench, vault);
  const url = await consent(bench, vault);
  return () => vault.completeAuthorization(url);
}

describe.each(databaseKinds)('on %s', (kind) => {
  describe.each(['a caller', 'a connect session'])('the callback of %s succeeds after', (how) => {
    it.each(['all', 'reads'] as const)('the database was away for %s before the code was sent', async (what) => {
      await using bench = await makeBench({ kind });
      const { vault } = await bench.open();
      const callback = await begin(bench, vault, how);
      const back = awayAfterTaking(vault, what);
      expect(await codeOf(callback())).toBe('storage_unavailable');
      // Once more while it is away.
      expect(await codeOf(callback())).toBe('storage_unavailable');
      expect(bench.requests()).toHaveLength(0);
      back();
      await callback();
      expect(await vault.grants.get(key)).toMatchObject({ state: 'active', generation: 1 });
      await callback();
      expect(bench.requests()).toHaveLength(1);
    });
  });

  it('a callback of several processes is still exchanged once', async () => {
    await using bench = await makeBench({ kind });
    const [{ vault }, { vault: other }] = [await bench.open(), await bench.open()];
    const url = await consent(bench, vault);
    const back = awayAfterTaking(vault, 'reads');
    expect(await codeOf(vault.completeAuthorization(url))).toBe('storage_unavailable');
    back();
    const grant = await other.completeAuthorization(url);
    expect(await vault.completeAuthorization(url)).toEqual(grant);
    expect(bench.requests()).toHaveLength(1);
  });

  it('a callback succeeds after the provider could not be reached', async () => {
    await using bench = await makeBench({ kind });
    const { vault, world } = await bench.open();
    const url = await consent(bench, vault);
    const fetch = vi.spyOn(world, 'fetch').mockRejectedValueOnce(new NotSentError('no route'));
    expect(await codeOf(vault.completeAuthorization(url))).toBe('provider_unavailable');
    fetch.mockRestore();
    expect(await vault.completeAuthorization(url)).toMatchObject({ state: 'active', generation: 1 });
    expect(bench.requests()).toHaveLength(1);
  });

  it('a callback without a code ends its request, as before', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const url = new URL(await consent(bench, vault));
    const declined = new URL(url);
    declined.searchParams.delete('code');
    declined.searchParams.set('error', 'access_denied');
    expect(await codeOf(vault.completeAuthorization(declined))).toBe('authorization_failed');
    expect(await codeOf(vault.completeAuthorization(url))).toBe('authorization_failed');
    expect(bench.requests()).toHaveLength(0);
  });
});
