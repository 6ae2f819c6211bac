/** Events that only look like the end of a grant: mistaken refusals, unsent requests, parked answers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, nameOfToken, until } from '../../../test/support/bench.ts';
import { GrantryError } from '../../base/errors.ts';
import { NotSentError } from '../../base/network/outbound-errors.ts';
import { Secret } from '../../base/secret.ts';
import { builtInProfile } from '../../simulator/index.ts';
import { factsOf } from '../grant/facts.ts';
import { internalsOf } from '../internals.ts';
import { claimRefresh } from './claim.ts';
import { planRefresh } from './plan.ts';
import { parkTokens } from './save.ts';

/** A provider like Salesforce: a lost answer ends the grant without another request. */
const unreplayable = {
  profiles: ['strict_revokes_family'],
  change: (each: Bench['providers'][number]) => ({
    ...each,
    refreshToken: { ...each.refreshToken, replayAfterLoss: false },
  }),
};

/** An answer that is not recognised although it has tokens: its refresh token is parked. */
const strange = { endpoint: 'token', effect: { kind: 'patch', set: { error: 'warming_up' } } } as const;
const refusal = { endpoint: 'token', effect: { kind: 'error', error: 'invalid_grant' } } as const;

describe('a parked successor that is refused by mistake', () => {
  it('is tried again, and the token that would revoke the family is never sent', async () => {
    await using bench = await makeBench({ profiles: ['strict_revokes_family'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add(strange);
    bench.simulator.faults.add(refusal);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    await bench.jump(31_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(3);
  });

  it('is given up after several refusals, and even a recovery does not send that token', async () => {
    await using bench = await makeBench({ profiles: ['strict_revokes_family'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add(strange);
    bench.simulator.faults.add({ ...refusal, times: 3 });
    for (let tries = 0; tries < 5; tries += 1) {
      await codeOf(vault.getAccessToken(key));
      await bench.jump(31_000);
    }
    expect(await bench.row(key)).toMatchObject({ state: 'reauthorization_required', reason: 'refused' });
    expect(await vault.recover(key)).toMatchObject({ outcome: 'refused', tried: 1 });
    const spent = nameOfToken(minted.refreshToken);
    expect(bench.requests().filter((each) => each.token === spent)).toHaveLength(1);
    // The provider's incident is over, and the kept tokens are alive.
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
  });

  it('is tried again after the overlap, when the stored token is useless', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
    bench.simulator.faults.add(strange);
    bench.simulator.faults.add({ endpoint: 'token', times: 100, effect: { kind: 'reset', when: 'before' } });
    for (let tries = 0; tries < 13; tries += 1) {
      await codeOf(vault.getAccessToken(key));
      await bench.jump(10_000);
    }
    bench.simulator.faults.clear();
    bench.simulator.faults.add(refusal);
    await bench.jump(100_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });

  it.each(databaseKinds)(
    'only for seconds at the end of an overlap is tried again before a verdict, on %s',
    async (kind) => {
      const profiles = [builtInProfile('timed_overlap', { rotation: { overlapSeconds: 60 } })];
      await using bench = await makeBench({ kind, profiles });
      const { vault } = await bench.open();
      const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
      bench.simulator.faults.add(strange);
      bench.simulator.faults.add({ endpoint: 'token', times: 100, effect: { kind: 'reset', when: 'before' } });
      for (let passed = 0; passed < 48; passed += 6) {
        await codeOf(vault.getAccessToken(key));
        await bench.jump(6_000);
      }
      bench.simulator.faults.clear();
      bench.simulator.faults.add({ ...refusal, times: 100 });
      for (let passed = 0; passed < 12; passed += 1) {
        await codeOf(vault.getAccessToken(key));
        await bench.jump(1_000);
      }
      bench.simulator.faults.clear();
      for (let passed = 0; passed < 120 && (await bench.row(key)).generation === 1; passed += 10) {
        await vault.getAccessToken(key).catch(() => {});
        await bench.jump(10_000);
      }
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      expect(await bench.events(key)).not.toContain('reauthorization_required');
    },
  );
});

describe('a request that was never sent', () => {
  it('does not count as a lost answer if the database was down as well', async () => {
    await using bench = await makeBench(unreplayable);
    const { vault, world } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    const cutOff = cutOffBoth(bench, world);
    const asked = vault.getAccessToken(key).catch((error: unknown) => error);
    await cutOff.happened();
    for (let passed = 0; passed < 30; passed += 1) await bench.jump(500);
    expect(await asked).toMatchObject({ code: 'storage_unavailable' });
    cutOff.end();
    await bench.jump(121_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });

  it('revives a grant that another process gave up meanwhile', async () => {
    await using bench = await makeBench(unreplayable);
    const { vault, world } = await bench.open();
    const { vault: other } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    const cutOff = cutOffBoth(bench, world);
    const asked = vault.getAccessToken(key).catch((error: unknown) => error);
    await cutOff.happened();
    for (let passed = 0; passed < 30; passed += 1) await bench.jump(500);
    await asked;
    cutOff.end();
    await bench.jump(121_000);
    expect(await codeOf(other.getAccessToken(key))).toBe('reauthorization_required');
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toEqual(['stored', 'reauthorization_required', 'revived', 'refreshed']);
    expect(bench.requests()).toHaveLength(1);
  });

  it('does not count as a lost answer if the commit of its claim was not confirmed', async () => {
    await using bench = await makeBench(unreplayable);
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    const { store } = internalsOf(vault).open();
    const transaction = store.transaction.bind(store);
    let lost = false;
    store.transaction = async (run, options) => {
      const result = await transaction(run, options);
      if (!lost) {
        lost = true;
        throw new GrantryError('storage_unavailable', 'The commit was not answered.');
      }
      return result;
    };
    expect(await codeOf(vault.getAccessToken(key))).toBe('storage_unavailable');
    expect((await vault.getAccessToken(key)).generation).toBe(2);
  });
});

it('a claim notices a token that was parked after the plan was made', async () => {
  await using bench = await makeBench({ profiles: ['strict_revokes_family'] });
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault, { provider: 'strict_revokes_family' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
  await codeOf(vault.getAccessToken(key));
  await bench.jump(121_000);
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const plan = await planRefresh(context, row);
  if (plan === 'look_again') throw new Error('nothing was in the spool');
  const spentToken = new Secret(minted.refreshToken);
  const late = {
    lease: { tenant: key.tenant, grantId: row.id, generation: 1, owner: 'host:1:late', fence: 0 },
    attemptId: plan.attemptId,
    candidateId: null,
    provider: row.provider,
    spentToken,
    spentFingerprint: plan.tokenFingerprint,
    tenantKeys: plan.tenantKeys,
    facts: factsOf(row),
  };
  const successor = new Secret('a-successor-that-came-late');
  expect(await parkTokens(context, late, { refreshTokens: [successor], accessToken: null })).toBe('parked');
  expect(await claimRefresh(context, plan)).toBe('look_again');
  const next = await planRefresh(context, await bench.row(key));
  expect(next).toMatchObject({ succeedsStored: true });
  if (next !== 'look_again') await next.slot.discard();
});

it('an answer that reaches the spool after the claim stops the request with the spent token', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
  await codeOf(vault.getAccessToken(key));
  await bench.jump(121_000);
  const { id } = await bench.row(key);
  const attempt = await bench.judge.db.selectFrom('grantry_attempts').select('id').executeTakeFirstOrThrow();
  const fetch = world.fetch.bind(world);
  let looked = 0;
  world.fetch = async (url, init) => {
    looked += 1;
    if (looked === 1) writeFileSync(join(bench.home, 'spool', `${id}.${attempt.id}.answer`), 'as if it were one');
    return fetch(url, init);
  };
  // The answer cannot be read, so it stops only one request.
  expect((await vault.getAccessToken(key)).generation).toBe(2);
  expect(looked).toBe(2);
  expect(bench.requests()).toHaveLength(2);
});

it('an answer for a tenant that left and came back is sealed with the current keys', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault: slow } = await bench.open();
  const { vault: other } = await bench.open();
  const { key, minted } = await bench.connect(slow, { provider: 'strict' });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 5_000, when: 'after' } });
  const late = slow.getAccessToken(key).catch((error: unknown) => error);
  await until(() => bench.requests().length === 1, 'the request');
  await other.disconnect(key, { revoke: false });
  await other.storeTokens(key, { refreshToken: minted.refreshToken, replace: true });
  await bench.jump(5_100);
  await late;
  await bench.jump(130_000);
  expect((await other.getAccessToken(key)).accessToken).toEqual(expect.any(String));
});

it('an uncommitted answer is revoked when its grant is disconnected', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const killed = await bench.open();
  const { vault: other } = await bench.open();
  const { key, minted } = await bench.connect(killed.vault, { provider: 'strict' });
  const mend = refuseCommits(bench);
  await codeOf(killed.vault.getAccessToken(key));
  mend();
  await bench.crash(killed);
  await other.disconnect(key);
  expect(bench.simulator.family(minted.family)?.alive).toBe(false);
});

it('an answer without a refresh token leaves the sent candidate valid, also when the spool is replayed', async () => {
  await using bench = await makeBench({ profiles: ['timed_overlap'] });
  const killed = await bench.open();
  const { key } = await bench.connect(killed.vault, { provider: 'timed_overlap' });
  bench.simulator.faults.add(strange);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', remove: ['refresh_token'] } });
  const mend = refuseCommits(bench);
  await codeOf(killed.vault.getAccessToken(key));
  mend();
  await bench.crash(killed);
  await bench.open();
  const candidate = await bench.judge.db
    .selectFrom('grantry_candidates')
    .select('token_fingerprint')
    .executeTakeFirst();
  expect(await bench.row(key)).toMatchObject({ generation: 2, refresh_fingerprint: candidate?.token_fingerprint });
});

it('a spooled answer of an unknown provider does not block the commit of others', async () => {
  await using bench = await makeBench({ profiles: ['retire_on_use', 'strict'] });
  const killed = await bench.open();
  const { key: unknown } = await bench.connect(killed.vault, { provider: 'retire_on_use' });
  const { key } = await bench.connect(killed.vault, { provider: 'strict' });
  const mend = refuseCommits(bench);
  await codeOf(killed.vault.getAccessToken(unknown));
  await bench.jump(20);
  await codeOf(killed.vault.getAccessToken(key));
  mend();
  await bench.crash(killed);
  const known = bench.providers.filter(({ id }) => id === 'strict');
  await bench.open({ providers: known });
  expect((await bench.row(key)).generation).toBe(2);
  // The tokens are parked, so that no file is needed any more.
  expect(await bench.row(unknown)).toMatchObject({ generation: 1, state: 'uncertain', reason: 'candidate' });
  const { vault } = await bench.open();
  expect((await vault.getAccessToken(unknown)).generation).toBe(2);
});

it('a lost answer is remembered while the provider is unreachable many times', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  await codeOf(vault.getAccessToken(key));
  await bench.jump(121_000);
  world.offline = true;
  for (let tries = 0; tries < 25; tries += 1) {
    await codeOf(vault.getAccessToken(key));
    await bench.jump(121_000);
  }
  world.offline = false;
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(31_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
  expect((await bench.row(key)).reason).toBe('lost_rotation');
  expect(bench.requests()).toHaveLength(3);
});

it('a vault that is closing finishes a recovery', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const { vault } = await bench.open();
  const { key } = await bench.connect(vault);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'before' } });
  await codeOf(vault.getAccessToken(key));
  await bench.jump(121_000);
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 5_000, when: 'after' } });
  const recovered = vault.recover(key);
  await until(() => bench.requests().length === 2, 'the request');
  const closed = vault.close();
  await bench.jump(6_000);
  await closed;
  expect(await recovered).toMatchObject({ outcome: 'recovered' });
  expect((await bench.row(key)).generation).toBe(2);
});

/** Takes the provider and the database down together, after a claim is committed. */
function cutOffBoth(bench: Bench, world: ReturnType<Bench['world']>): { happened(): Promise<void>; end(): void } {
  let locked: DatabaseSync | undefined;
  const fetch = world.fetch.bind(world);
  world.fetch = async () => {
    locked = new DatabaseSync(bench.database.slice('sqlite:'.length), { timeout: 60_000 });
    locked.exec('begin immediate');
    throw new NotSentError('there is no network');
  };
  return {
    happened: () => until(() => locked !== undefined, 'the request'),
    end: () => {
      locked?.close();
      world.fetch = fetch;
    },
  };
}

/** Lets answers reach the spool while the database refuses new generations. */
function refuseCommits(bench: Bench): () => void {
  const run = (statement: string) => {
    const database = new DatabaseSync(bench.database.slice('sqlite:'.length));
    database.exec(statement);
    database.close();
  };
  run(
    `create trigger refuse before update on oauth_tokens when new.generation > old.generation
     begin select raise(abort, 'no'); end`,
  );
  return () => run('drop trigger refuse');
}
