/** A token that waits to be revoked is tried at its times, and counted at its end only where the provider keeps it. */
import { describe, expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { newConsent } from '../../../test/support/new-consent.ts';
import { GrantryError } from '../../base/errors.ts';
import { checkKey, newUuid } from '../../base/ids.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import { demoClient } from '../../simulator/index.ts';
import type { Fault } from '../../simulator/state/faults.ts';
import { insertConnectSession } from '../../storage/statements/connect-sessions.ts';
import { internalsOf } from '../internals.ts';
import type { VaultEvent } from '../types.ts';
import { putAuthorization } from './put-authorization.ts';
import { revokeDue, revokeOfGrant, revokesAccount } from './revocations.ts';

const provider = 'none';

async function stage(rules: { livePerUserAndClient?: number; revocationEnds?: 'token' | 'account' } = {}) {
  const change = (definition: Bench['providers'][number]) => ({
    ...definition,
    refreshToken: { ...definition.refreshToken, ...rules },
  });
  const bench = await makeBench({ profiles: [provider], change });
  const events: VaultEvent[] = [];
  const logged: unknown[] = [];
  const warn: Logger['warn'] = (_, fields) => void logged.push(fields);
  const onEvent = (event: VaultEvent) => void events.push(event);
  const { vault, world } = await bench.open({ onEvent, logger: { ...silentLogger, warn } });
  const context = internalsOf(vault).open();
  return {
    bench,
    vault,
    world,
    context,
    events,
    logged,
    due: () => revokeDue(context),
    revokes: () => bench.simulator.history.events().filter(({ kind }) => kind === 'revoke').length,
    left: () => bench.judge.db.selectFrom('grantry_left_tokens').select('fingerprint').execute(),
    /** A token that waits to be revoked, since the provider was out of reach. */
    queued: async () => {
      const connected = await bench.connect(vault, { provider });
      const { id: grantId } = await bench.row(connected.key);
      world.offline = true;
      expect(await vault.disconnect(connected.key)).toEqual({ revocation: 'queued' });
      world.offline = false;
      return { ...connected, grant: { tenant: connected.key.tenant, grantId } };
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

describe('a token that could not be revoked', () => {
  it('is tried again after a minute, and each time after twice as long', async () => {
    await using here = await stage();
    await here.queued();
    here.world.offline = true;
    for (const pauseMs of [60_000, 120_000, 240_000]) {
      await here.bench.jump(pauseMs - 10_000);
      expect(await here.due()).toBe(0);
      await here.bench.jump(15_000);
      expect(await here.due()).toBe(1);
    }
  });

  it.each([
    ['1', 50_000, 65_000],
    ['600', 590_000, 615_000],
  ])('waits a minute, or longer if its provider says so: %s s', async (seconds, soon, late) => {
    await using here = await stage();
    const { key, minted } = await here.bench.connect(here.vault, { provider });
    const busy = { kind: 'status', status: 503, when: 'before', headers: { 'retry-after': seconds } } as const;
    here.bench.simulator.faults.add({ endpoint: 'revoke', effect: busy });
    expect(await here.vault.disconnect(key)).toEqual({ revocation: 'queued' });
    await here.bench.jump(soon);
    expect(await here.due()).toBe(0);
    await here.bench.jump(late - soon);
    expect(await here.due()).toBe(1);
    expect(here.bench.simulator.isAlive(minted.refreshToken)).toBe(false);
  });

  it.each([
    [new GrantryError('provider_misconfigured', 'The app is wrong.'), true],
    [new Error('a surprise'), false],
  ])('is told of in the log, and whether the cause is known: %s', async (cause, known) => {
    await using here = await stage();
    const { grant } = await here.queued();
    here.context.providers.require = () => Promise.reject(cause);
    expect(await revokeOfGrant(here.context, grant)).toEqual({ revocation: 'queued' });
    expect(here.logged.at(-1)).toEqual({ tenant: grant.tenant, provider, known });
  });
});

describe('a token that waits, where a user is just connecting', () => {
  it.each([
    ['account', 0],
    ['token', 1],
  ] as const)('whose end is that of the %s', async (revocationEnds, sent) => {
    await using here = await stage({ revocationEnds });
    const { key } = await here.queued();
    const none = { adds: null, return_to: null, user_id: null, environment: null, expect_organization: null };
    const place = { ...checkKey(key), app: provider, scopes: '[]', token_hash: 'hash', lifeMs: 3_600_000 };
    await here.context.store.transaction((tx) =>
      insertConnectSession(tx, { ...none, ...place, id: newUuid(here.context.world) }),
    );
    await here.bench.judge.db.updateTable('grantry_connect_sessions').set({ state: 'pending' }).execute();
    await here.bench.jump(65_000);
    expect(await here.due()).toBe(1);
    expect(here.revokes()).toBe(sent);
    // The session is over, so the token may end.
    await here.bench.jump(3_600_000);
    await here.due();
    expect(here.revokes()).toBe(1);
  });
});

describe('the end of an account', () => {
  it('is assumed where the provider cannot be read, but not while the database is away', async () => {
    await using here = await stage();
    const fail = (code: 'provider_misconfigured' | 'storage_unavailable') => {
      here.context.providers.get = () => Promise.reject(new GrantryError(code, 'It cannot be read.'));
      return revokesAccount(here.context, provider);
    };
    expect(await fail('provider_misconfigured')).toBe(true);
    await expect(fail('storage_unavailable')).rejects.toThrow('It cannot be read.');
  });
});

describe('a token that another grant holds', () => {
  const other = { tenant: 'other', provider, account: 'default' };

  it('stays alive, also where its provider cannot be read', async () => {
    await using here = await stage();
    const { grant, minted } = await here.queued();
    await here.vault.storeTokens(other, { refreshToken: minted.refreshToken });
    here.context.providers.require = () => Promise.reject(new Error('It cannot be read.'));
    expect(await revokeOfGrant(here.context, grant)).toEqual({ revocation: 'shared', sharedWith: [other] });
  });

  it('is not counted as left over although a grant got it at the last moment, and nothing tells of its place', async () => {
    await using here = await stage({ livePerUserAndClient: 4 });
    const { grant, minted } = await here.queued();
    for (const tenant of ['t2', 't3']) await here.bench.connect(here.vault, { provider, tenant });
    const require = here.context.providers.require.bind(here.context.providers);
    here.context.providers.require = async (id) => {
      here.context.providers.require = require;
      await here.vault.storeTokens(other, { refreshToken: minted.refreshToken });
      return require(id);
    };
    expect(await revokeOfGrant(here.context, grant)).toEqual({ revocation: 'shared', sharedWith: [other] });
    expect(await here.left()).toEqual([]);
    expect(here.events.filter(({ type }) => type === 'slots.filling')).toEqual([]);
  });
});

describe('a token that its provider does not revoke', () => {
  const refuses: Fault = { endpoint: 'revoke', effect: { kind: 'error', error: 'unauthorized_client', status: 400 } };

  it.each([
    [{}, 0],
    [{ livePerUserAndClient: 4 }, 1],
  ])('is counted as left over only where places are few: %j', async (rules, count) => {
    await using here = await stage(rules);
    const { key } = await here.bench.connect(here.vault, { provider });
    here.bench.simulator.faults.add(refuses);
    expect(await here.vault.disconnect(key)).toEqual({ revocation: 'not_supported' });
    expect(await here.left()).toHaveLength(count);
  });
});

it('a revoked token makes room, so the next crossing of the limit is told again', async () => {
  await using here = await stage({ livePerUserAndClient: 4 });
  await here.bench.addApp(here.vault, provider);
  const told = () => here.events.flatMap((event) => (event.type === 'slots.filling' ? [event.tenant] : []));
  const consent = (tenant: string) => {
    const user = 'user@example.com';
    const { clientId } = demoClient;
    const { refreshToken } = here.bench.simulator.mintTokens({ profile: provider, clientId, user, scopes: ['read'] });
    return putAuthorization(here.context, checkKey({ tenant, provider }), newConsent(provider, refreshToken));
  };
  for (const tenant of ['t1', 't2', 't3']) await consent(tenant);
  expect(told()).toEqual(['t3']);
  expect(await here.vault.disconnect({ tenant: 't1', provider })).toEqual({ revocation: 'revoked' });
  await consent('t4');
  expect(told()).toEqual(['t3', 't4']);
});
