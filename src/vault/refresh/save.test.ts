/** The fate of tokens that are committed: they are the next generation, a candidate, revoked, or of no use. */
import { describe, expect, it, vi } from 'vitest';
import { type Bench, codeOf, makeBench } from '../../../test/support/bench.ts';
import { candidatesOf, connected, headFor, noteAttempt, outcomesOf } from '../../../test/support/left-answers.ts';
import { refuse } from '../../../test/support/refusals.ts';
import { GrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import type { TokenSet } from '../../oauth/types.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import { insertCandidate } from '../../storage/statements/candidates.ts';
import { changeGrantScopes, readGrantScopes } from '../../storage/statements/grant-scopes.ts';
import { metadataOf, scopesOfRow } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import { internalsOf } from '../internals.ts';
import { factsOfHead } from '../spool/head.ts';
import type { Vault } from '../types.ts';
import { commitTokens, commitWhatFits, parkTokens, type TokenAttempt } from './save.ts';

/** Tokens of an answer. */
const tokens = (change: Partial<TokenSet> = {}): TokenSet => ({
  accessToken: new Secret('an-access-token'),
  refreshToken: new Secret('the-next-one'),
  tokenType: 'Bearer',
  expiresAt: Date.now() + 3_600_000,
  scopes: null,
  metadata: {},
  ...change,
});

const salvaged = (refreshToken: string) => ({ refreshTokens: [new Secret(refreshToken)], accessToken: null });

describe('the first refresh of tokens that replaced others by hand', () => {
  it.each([
    [20, 1],
    [null, 0],
  ])('shreds the replaced ones; of %s per user, %d goes on being counted', async (livePerUserAndClient, counted) => {
    const change = (each: ProviderDefinitionInput) => ({
      ...each,
      refreshToken: { ...each.refreshToken, livePerUserAndClient },
    });
    await using bench = await makeBench({ change });
    const { vault, key } = await connected(bench);
    await vault.storeTokens(key, { refreshToken: 'another-token', replace: true });
    expect(await candidatesOf(bench)).toHaveLength(1);
    expect(await commitTokens(internalsOf(vault).open(), await attempt(bench, vault, key), tokens())).toBe('saved');
    expect(await candidatesOf(bench)).toEqual([]);
    expect(await bench.judge.db.selectFrom('grantry_left_tokens').selectAll().execute()).toHaveLength(counted);
  });
});

describe('saved tokens', () => {
  it.each([
    ['active', 'refreshed'],
    ['reauthorization_required', 'revived'],
  ] as const)('of a grant that is %s are told of as %s', async (state, event) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await bench.judge.db.updateTable('oauth_tokens').set({ state }).execute();
    expect(await commitTokens(internalsOf(vault).open(), await attempt(bench, vault, key), tokens())).toBe('saved');
    expect(await bench.events(key)).toEqual(['stored', event]);
  });

  it.each([
    ['that the answer does not name stay assumed', null, ['read']],
    ['that the answer names are assumed no longer', ['read'], []],
  ])('have scopes: those %s', async (_, scopes, assumed) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const context = internalsOf(vault).open();
    const grant = { tenant: key.tenant, grantId: (await bench.row(key)).id };
    await changing(context, ({ tx }) => changeGrantScopes(tx, grant, (known) => ({ ...known, assumed: ['read'] })));
    expect(await commitTokens(context, await attempt(bench, vault, key), tokens({ scopes }))).toBe('saved');
    expect((await readGrantScopes(bench.judge.db, [grant])).get(grant.grantId)?.assumed).toEqual(assumed);
  });

  it.each([
    ['before its request count', ['read', 'late'], null, ['read', 'late'], ['read', 'late']],
    ['after its request do not count', ['read'], null, ['read'], ['read', 'late']],
    ['after its request are not denied by its answer', ['read'], ['read'], ['read'], ['late']],
    ['at an unknown time do not count', undefined, ['read'], ['read'], ['read', 'late']],
  ])('have scopes: those that were added %s', async (_, added, scopes, gained, assumed) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const context = internalsOf(vault).open();
    const get = context.providers.get.bind(context.providers);
    const scopeEnhancement = { path: '/more' };
    vi.spyOn(context.providers, 'get').mockImplementation(async (id) => {
      const definition = await get(id);
      return definition === null ? null : Object.assign({ ...definition }, { scopeEnhancement });
    });
    const grant = { tenant: key.tenant, grantId: (await bench.row(key)).id };
    const note = { asked: [], assumed: ['read', 'late'], uses: [] };
    await changing(context, ({ tx }) => changeGrantScopes(tx, grant, () => note));
    const made = await attempt(bench, vault, key);
    const commit = commitTokens(context, added === undefined ? made : { ...made, added }, tokens({ scopes }));
    expect(await commit).toBe('saved');
    expect(scopesOfRow(await bench.row(key))).toEqual(expect.arrayContaining(gained));
    expect(scopesOfRow(await bench.row(key)).includes('late')).toBe(gained.includes('late'));
    expect((await readGrantScopes(bench.judge.db, [grant])).get(grant.grantId)?.assumed).toEqual(assumed);
  });

  it('supersede the candidates of earlier tokens, and leave those of the token that was spent', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    const context = internalsOf(vault).open();
    const { id: grant_id } = await bench.row(key);
    for (const generation of [1, 2]) {
      const place = { id: crypto.randomUUID(), tenant: key.tenant, grant_id, generation, fence: generation };
      const candidate = {
        ...place,
        token_fingerprint: `of-${generation}`,
        state: 'untested',
        tokens: 'sealed',
      } as const;
      await changing(context, ({ tx }) => insertCandidate(tx, candidate));
    }
    expect(await commitTokens(context, await attempt(bench, vault, key), tokens())).toBe('saved');
    expect((await candidatesOf(bench)).map(({ state }) => state)).toEqual(['superseded', 'untested']);
  });

  it('keep their metadata over an outage of the database', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const context = internalsOf(vault).open();
    const { store } = context;
    const transaction = store.transaction.bind(store);
    let outages = 1;
    store.transaction = (...parts) => {
      outages -= 1;
      if (outages < 0) return transaction(...parts);
      return Promise.reject(new GrantryError('storage_unavailable', 'The database is down.'));
    };
    const metadata = { company: 'Example' };
    const commit = async () => commitWhatFits(context, await attempt(bench, vault, key), tokens({ metadata }));
    expect(await codeOf(commit())).toBe('storage_unavailable');
    expect(await commit()).toBe('saved');
    expect(metadataOf(await bench.row(key))).toEqual(metadata);
  });

  it('that the database refuses are not said to be saved without their metadata', async () => {
    await using bench = await makeBench();
    const errors: string[] = [];
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: (text: string) => void errors.push(text) };
    const { vault } = await bench.open({ logger });
    const { key } = await bench.connect(vault);
    await refuse(bench, 'tokens');
    await expect(
      commitWhatFits(internalsOf(vault).open(), await attempt(bench, vault, key), tokens()),
    ).rejects.toThrow();
    expect(errors).toEqual([]);
  });
});

describe('a parked token', () => {
  it('brings nothing if it is stored already, and ends no lease', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const lease = { lease_owner: 'a-holder', lease_until: bench.clock.now() + 60_000 };
    await bench.judge.db.updateTable('oauth_tokens').set(lease).execute();
    expect(await park(vault, await attempt(bench, vault, key), minted.refreshToken)).toBe('nothing');
    expect(await candidatesOf(bench)).toEqual([]);
    expect(await outcomesOf(bench)).toEqual(['saved']);
    expect(await bench.row(key)).toMatchObject(lease);
  });

  it('brings nothing the second time', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const late = await attempt(bench, vault, key);
    expect(await park(vault, late, 'a-successor')).toBe('parked');
    expect(await park(vault, late, 'a-successor')).toBe('nothing');
    expect(await candidatesOf(bench)).toMatchObject([{ state: 'untested' }]);
    expect(await bench.events(key)).toEqual(['stored', 'parked']);
  });

  it.each([
    ['changes nothing about a later generation', 1, 'active', null, { state: 'active', reason: null }, 'parked'],
    ['puts its own generation in doubt', 0, 'active', null, { state: 'uncertain', reason: 'candidate' }, 'parked'],
    ['revives', 0, 'reauthorization_required', 'refused', { state: 'uncertain', reason: 'stored_refused' }, 'revived'],
    [
      'revives later',
      1,
      'reauthorization_required',
      'refused',
      { state: 'uncertain', reason: 'stored_refused' },
      'revived',
    ],
  ] as const)('%s: %d generations later, %s (%s)', async (_, later, state, reason, then, event) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const late = await attempt(bench, vault, key);
    if (later > 0) await vault.getAccessToken(key);
    await bench.judge.db.updateTable('oauth_tokens').set({ state, reason }).execute();
    expect(await park(vault, late, 'a-successor')).toBe('parked');
    expect(await bench.row(key)).toMatchObject(then);
    expect((await bench.events(key)).at(-1)).toBe(event);
  });

  it('revives a grant also if it answered a candidate', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    expect(await park(vault, await attempt(bench, vault, key), 'a-candidate')).toBe('parked');
    await bench.judge.db
      .updateTable('oauth_tokens')
      .set({ state: 'reauthorization_required', reason: 'refused' })
      .execute();
    const [{ id: candidateId, token_fingerprint: tokenFingerprint } = { id: '', token_fingerprint: '' }] =
      await candidatesOf(bench);
    const late = await attempt(bench, vault, key, { candidateId, tokenFingerprint, fence: 7 });
    expect(await park(vault, late, 'its-successor')).toBe('parked');
    expect(await bench.row(key)).toMatchObject({ state: 'uncertain', reason: 'stored_refused' });
  });

  it('does not revive a grant if it answered a token that was replaced by hand', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const late = await attempt(bench, vault, key);
    await vault.storeTokens(key, { refreshToken: 'another-token', replace: true });
    await bench.judge.db
      .updateTable('oauth_tokens')
      .set({ state: 'reauthorization_required', reason: 'refused' })
      .execute();
    expect(await park(vault, late, 'its-successor')).toBe('parked');
    expect(await bench.row(key)).toMatchObject({ state: 'reauthorization_required', reason: 'refused' });
  });
});

describe('tokens of a grant that was disconnected', () => {
  it('are shredded if an earlier version kept them, which bound no facts', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await vault.disconnect(key);
    const late = { ...(await attempt(bench, vault, key)), facts: undefined };
    expect(await commitTokens(internalsOf(vault).open(), late, tokens())).toBe('orphaned');
    expect(await bench.judge.db.selectFrom('grantry_revocations').selectAll().execute()).toEqual([]);
  });

  it('stay to be revoked while the keys of the tenant cannot be read', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const late = await attempt(bench, vault, key);
    await vault.disconnect(key);
    const context = internalsOf(vault).open();
    const pin = context.keys.pin.bind(context.keys);
    context.keys.pin = () => Promise.reject(new GrantryError('vault_sealed', 'There is no root key.'));
    expect(await codeOf(commitTokens(context, late, tokens()))).toBe('vault_sealed');
    expect(await outcomesOf(bench)).toEqual(['open']);
    context.keys.pin = pin;
    expect(await commitTokens(context, late, tokens())).toBe('orphaned');
    expect(await outcomesOf(bench)).toEqual(['parked']);
    expect(await bench.judge.db.selectFrom('grantry_revocations').selectAll().execute()).toHaveLength(1);
  });
});

/** An attempt with the token that is stored now, which the database knows. */
async function attempt(
  bench: Bench,
  vault: Vault,
  key: GrantKey,
  change: Parameters<typeof headFor>[2] = {},
): Promise<TokenAttempt> {
  const head = await headFor(bench, key, change);
  const { tenant, grantId, generation, fence, owner } = head;
  await noteAttempt(bench, head);
  return {
    lease: { tenant, grantId, generation, owner: owner.id, fence },
    attemptId: head.attemptId,
    candidateId: head.candidateId,
    provider: key.provider,
    spentToken: new Secret('the-spent-one'),
    spentFingerprint: head.tokenFingerprint,
    tenantKeys: await internalsOf(vault).open().keys.pin(tenant, { fresh: true }),
    facts: factsOfHead(head),
  };
}

function park(vault: Vault, late: TokenAttempt, refreshToken: string) {
  return parkTokens(internalsOf(vault).open(), late, salvaged(refreshToken));
}
