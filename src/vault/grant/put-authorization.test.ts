/** A new authorization replaces the tokens of a grant, unless something has changed until it is stored. */
import { describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { newConsent } from '../../../test/support/new-consent.ts';
import { checkKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { placeHash } from '../../providers/place.ts';
import { demoClient } from '../../simulator/index.ts';
import { findApp } from '../../storage/statements/apps.ts';
import { listCandidatesOfGrant } from '../../storage/statements/candidates.ts';
import { deleteTenantKeys } from '../../storage/statements/tenant-keys.ts';
import { internalsOf } from '../internals.ts';
import type { VaultEvent } from '../types.ts';
import type { NewAuthorization } from './put/new-authorization.ts';
import { putAuthorization } from './put-authorization.ts';

const provider = 'none';
const key = checkKey({ tenant: 'acme', provider });

/** The answer to a code. */
const consent = (refreshToken: string, more: Partial<NewAuthorization> = {}): NewAuthorization =>
  newConsent(provider, refreshToken, more);

/** A provider that keeps four tokens of a user, so a consent revokes those that it replaces. */
function keepsFew(definition: Bench['providers'][number]): Bench['providers'][number] {
  const refreshToken = { ...definition.refreshToken, livePerUserAndClient: 4, revocationEnds: 'token' as const };
  return { ...definition, refreshToken, capture: { token: { realm: 'realm_id' } } };
}

async function stage() {
  const bench = await makeBench({ profiles: [provider], change: keepsFew });
  const events: VaultEvent[] = [];
  const { vault, world } = await bench.open({ onEvent: (event) => void events.push(event) });
  await bench.addApp(vault, provider);
  const context = internalsOf(vault).open();
  const user = 'user@example.com';
  const { clientId } = demoClient;
  return {
    bench,
    vault,
    world,
    context,
    events,
    mint: () => bench.simulator.mintTokens({ profile: provider, clientId, user, scopes: ['read'] }).refreshToken,
    revokes: () => bench.simulator.history.events().filter(({ kind }) => kind === 'revoke').length,
    /** The generations of the grant, and those of the tokens that are kept beside its own. */
    kept: async () => {
      const row = await bench.row(key);
      const candidates = await listCandidatesOfGrant(bench.judge.db, row);
      const { generation, authorized_generation: authorized } = row;
      return {
        generation,
        authorized,
        kept: candidates.map((each) => each.generation).toSorted((one, other) => one - other),
      };
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

describe('a broken answer to a code', () => {
  it('keeps its further tokens one generation below, in the same authorization', async () => {
    await using here = await stage();
    await putAuthorization(here.context, key, consent(here.mint(), { candidates: [new Secret(here.mint())] }));
    expect(await here.kept()).toEqual({ generation: 2, authorized: 1, kept: [1] });
  });

  it('revokes none of the tokens before it, and keeps them', async () => {
    await using here = await stage();
    await putAuthorization(here.context, key, consent(here.mint()));
    await putAuthorization(here.context, key, consent(here.mint(), { candidates: [new Secret(here.mint())] }));
    expect(await here.kept()).toEqual({ generation: 3, authorized: 2, kept: [1, 2] });
    expect(here.revokes()).toBe(0);
  });

  it('brings the tokens of another account never back', async () => {
    await using here = await stage();
    const former = here.mint();
    await putAuthorization(here.context, key, consent(former, { metadata: { realm_id: 'R1' } }));
    const other = { metadata: { realm_id: 'R2' }, account: { realm_id: 'R2' }, candidates: [new Secret(here.mint())] };
    await putAuthorization(here.context, key, consent(here.mint(), other));
    expect(await here.kept()).toEqual({ generation: 3, authorized: 2, kept: [2] });
    expect(here.bench.simulator.isAlive(former)).toBe(false);
  });
});

describe('tokens that are stored by hand', () => {
  it('go on in their authorization with a new access token', async () => {
    await using here = await stage();
    const refreshToken = here.mint();
    for (const accessToken of ['the-first', 'the-second'])
      await here.vault.storeTokens(key, { refreshToken, accessToken, expiresIn: 3_600 });
    expect(await here.kept()).toEqual({ generation: 2, authorized: 1, kept: [] });
  });

  it('send nothing to the provider, although a revocation waits', async () => {
    await using here = await stage();
    await here.vault.storeTokens(key, { refreshToken: here.mint() });
    here.world.offline = true;
    expect(await here.vault.disconnect(key)).toEqual({ revocation: 'queued' });
    here.world.offline = false;
    await here.vault.storeTokens(key, { refreshToken: here.mint(), replace: true });
    expect(here.revokes()).toBe(0);
  });

  it('take no new place at the provider, so only a consent tells that the places run out', async () => {
    await using here = await stage();
    const told = () => here.events.filter(({ type }) => type === 'slots.filling').length;
    for (const tenant of ['t1', 't2', 't3'])
      await here.vault.storeTokens({ tenant, provider }, { refreshToken: here.mint() });
    expect(told()).toBe(0);
    await putAuthorization(here.context, key, consent(here.mint()));
    expect(told()).toBe(1);
  });
});

describe('until tokens are stored', () => {
  it('their app must stand as it did', async () => {
    await using here = await stage();
    const app = (await findApp(here.context.store.db, provider)) ?? expect.unreachable();
    const place = placeHash(await here.context.providers.require(provider), app);
    await here.vault.apps.remove(provider);
    await here.vault.apps.put(provider, { provider, clientId: 'another', clientSecret: 'another' });
    const stored = putAuthorization(here.context, key, consent(here.mint(), { place }));
    await expect(stored).rejects.toThrow('was changed while this connection was under way');
    expect(await here.vault.grants.list()).toMatchObject({ items: [] });
  });

  it("another process may shred the tenant's keys: they are sealed with new ones", async () => {
    await using here = await stage();
    let tries = 0;
    const isStored = async (): Promise<boolean> => {
      tries += 1;
      if (tries === 1) await here.bench.judge.transaction((tx) => deleteTenantKeys(tx, key.tenant));
      return false;
    };
    await putAuthorization(here.context, key, consent(here.mint()), { isStored });
    expect(tries).toBe(2);
    expect((await here.vault.getAccessToken(key)).generation).toBe(2);
  });

  it('a person may change where they go: the change stays', async () => {
    await using here = await stage();
    await here.vault.storeTokens(key, { refreshToken: here.mint() });
    let tries = 0;
    const keepStored = async () => {
      tries += 1;
      if (tries === 1) await here.vault.updateMetadata(key, { environment: 'test' });
      return 'store' as const;
    };
    const news = consent(here.mint(), { event: 'grant.stored' });
    const grant = await putAuthorization(here.context, key, news, { keepStored });
    expect(grant).toMatchObject({ generation: 2, metadata: { environment: 'test' } });
  });
});
