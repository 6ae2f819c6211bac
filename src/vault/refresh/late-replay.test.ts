/** Replays of answers whose grant has moved on since: to a later generation or authorization, or to its end. */
import { describe, expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import {
  allKinds,
  bodyWith,
  candidatesOf,
  connected,
  headFor,
  leaveAnswer,
  nothing,
  outcomesOf,
  replay,
} from '../../../test/support/left-answers.ts';
import { kindsIn } from '../../../test/support/refusals.ts';

describe('an answer to an older generation', () => {
  it.each([
    ['is not taken again once it was saved', 'saved', 'saved', []],
    ['becomes a candidate while its attempt is open', 'answer', 'open', ['untested']],
    ['is of no use if the database has lost its attempt', 'answer', null, []],
    ['becomes a candidate all the same if no earlier version understood it', 'unread', null, ['untested']],
  ] as const)('%s', async (_, kind, outcome, states) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const older = await headFor(bench, key);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    await leaveAnswer(bench, vault, older, { kind, outcome });
    expect(await replay(vault, allKinds)).toEqual({ changed: states.length, setAside: [] });
    expect((await candidatesOf(bench)).map(({ state }) => state)).toEqual(states);
    expect(new Set(kindsIn(bench))).toEqual(new Set(['saved']));
    expect(await bench.row(key)).toMatchObject({ generation: 2, state: 'active' });
  });

  it('is of no use if it spent a candidate of this authorization', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const older = await headFor(bench, key);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    await leaveAnswer(bench, vault, older, { body: bodyWith('a-candidate') });
    expect(await replay(vault)).toMatchObject({ changed: 1 });
    const [candidate] = await candidatesOf(bench);
    const spent = { candidateId: candidate?.id ?? null, tokenFingerprint: candidate?.token_fingerprint ?? '' };
    await leaveAnswer(bench, vault, { ...older, ...spent, attemptId: 'another', fence: 7 }, { outcome: null });
    expect(await replay(vault)).toEqual(nothing);
    expect(await candidatesOf(bench)).toHaveLength(1);
  });

  it('is kept if the token that it spent was replaced by hand and has no successor yet', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const older = await headFor(bench, key);
    await vault.storeTokens(key, { refreshToken: 'another-token', replace: true });
    for (const [attemptId, changed] of Object.entries({ first: 1, second: 0 })) {
      await leaveAnswer(bench, vault, { ...older, attemptId }, { outcome: null, body: bodyWith(`${attemptId}-token`) });
      expect(await replay(vault)).toEqual({ changed, setAside: [] });
      expect((await candidatesOf(bench)).map(({ state }) => state).sort()).toEqual(['superseded', 'untested']);
    }
  });
});

describe('an answer without a refresh token', () => {
  it('leaves the stored token valid', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { refresh_fingerprint } = await bench.row(key);
    await leaveAnswer(bench, vault, await headFor(bench, key), { body: bodyWith() });
    expect(await replay(vault)).toMatchObject({ changed: 1 });
    expect(await bench.row(key)).toMatchObject({ generation: 2, refresh_fingerprint });
  });

  it.each(['strict', 'none'])('brings nothing to a later generation, at %s', async (provider) => {
    await using bench = await makeBench({ profiles: [provider] });
    const { vault, key } = await connected(bench, provider);
    const older = await headFor(bench, key);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    await leaveAnswer(bench, vault, older, { body: bodyWith() });
    expect(await replay(vault)).toEqual(nothing);
    expect(await candidatesOf(bench)).toEqual([]);
  });
});

describe('an answer of an authorization that a newer one has replaced', () => {
  it('saves the successor of a token that was stored again', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const older = await headFor(bench, key);
    await vault.disconnect(key, { revoke: false });
    await vault.storeTokens(key, { refreshToken: minted.refreshToken, replace: true });
    expect((await bench.row(key)).authorized_generation).toBeGreaterThan(1);
    await leaveAnswer(bench, vault, { ...older, grantId: (await bench.row(key)).id }, { kind: 'refused' });
    expect(await replay(vault)).toMatchObject({ changed: 1 });
    expect(await candidatesOf(bench)).toMatchObject([{ state: 'untested' }]);
  });

  it.each(['refused', 'unread'] as const)('is no longer tried as %s', async (kind) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const older = await headFor(bench, key);
    await vault.storeTokens(key, { refreshToken: 'another-token', replace: true });
    await bench.judge.db.deleteFrom('grantry_candidates').execute();
    await leaveAnswer(bench, vault, older, { kind, body: '<p>It is warming up.</p>' });
    expect(await replay(vault, allKinds)).toEqual(nothing);
    expect(kindsIn(bench)).toEqual(['saved']);
  });

  it('ends its attempt', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const older = await headFor(bench, key);
    await vault.storeTokens(key, { refreshToken: 'another-token', replace: true });
    await bench.judge.db.deleteFrom('grantry_candidates').execute();
    await leaveAnswer(bench, vault, older);
    expect(await replay(vault)).toEqual(nothing);
    expect(await outcomesOf(bench)).toEqual(['parked']);
  });
});

describe('an answer of a grant that was disconnected', () => {
  it('is revoked once, and its file is removed', async () => {
    await using bench = await makeBench({ profiles: ['strict', 'none'] });
    const { vault, key } = await connected(bench);
    const head = await headFor(bench, key);
    const { minted } = await bench.connect(vault, { tenant: 'globex' });
    // Another grant keeps the keys of the tenant alive.
    await bench.connect(vault, { provider: 'none' });
    await vault.disconnect(key, { revoke: false });
    await bench.judge.db
      .updateTable('oauth_tokens')
      .set({ reason: 'disconnected' })
      .where('id', '=', head.grantId)
      .execute();
    await vault.disconnect({ ...key, tenant: 'globex' }, { revoke: false });
    await leaveAnswer(bench, vault, head, { body: bodyWith(minted.refreshToken) });
    expect(await replay(vault)).toMatchObject({ changed: 1 });
    expect(kindsIn(bench)).toEqual([]);
    expect(bench.simulator.family(minted.family)?.alive).toBe(false);
    expect(await outcomesOf(bench)).toEqual(['parked']);
    const again = { ...head, attemptId: crypto.randomUUID(), fence: 8 };
    await leaveAnswer(bench, vault, again, { body: bodyWith(minted.refreshToken), outcome: 'parked' });
    expect(await replay(vault)).toEqual(nothing);
    expect(await bench.judge.db.selectFrom('grantry_revocations').selectAll().execute()).toEqual([]);
  });
});
