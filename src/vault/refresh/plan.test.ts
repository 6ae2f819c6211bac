/** Preparations of a refresh: what stops it before anything is spent, and which token it is for. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, makeBench } from '../../../test/support/bench.ts';
import { candidatesOf, connected, headFor, leaveAnswer, noteAttempt } from '../../../test/support/left-answers.ts';
import { pretendFailover } from '../../../test/support/refusals.ts';
import { GrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import { Secret } from '../../base/secret.ts';
import { insertCandidate } from '../../storage/statements/candidates.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import { factsOf } from '../grant/facts.ts';
import { lone, sealCandidate } from '../grant/tokens.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { planRefresh, type RefreshOptions } from './plan.ts';

const kept = { refreshToken: new Secret('a-kept-token'), candidateId: null };
const minute = 60_000;

describe('a refresh is not prepared', () => {
  it('in quarantine', async () => {
    await using bench = await makeBench();
    const { key } = await connected(bench);
    await bench.judge.db.updateTable('grantry_instance').set({ quarantined_reason: 'restored' }).execute();
    const { vault } = await bench.open();
    expect(await codeOf(plan(bench, vault, key))).toBe('grant_quarantined');
  });

  it('before a promoted standby has its lost commits back', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    pretendFailover(vault);
    expect(await plan(bench, vault, key)).toBe('look_again');
    expect(await plan(bench, vault, key)).toMatchObject({ candidateId: null });
  });

  it('if the spool has the answer of an attempt without an outcome, which is saved', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await leaveAnswer(bench, vault, await headFor(bench, key));
    expect(await plan(bench, vault, key)).toBe('look_again');
    expect(await bench.row(key)).toMatchObject({ generation: 2, state: 'active' });
  });

  it('while a file that may hold its answer cannot be read', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { id } = await bench.row(key);
    mkdirSync(join(bench.home, 'spool', `${id}.an-attempt.answer`), { recursive: true });
    await (await internalsOf(vault).open().spool()).list(id);
    expect(await codeOf(plan(bench, vault, key))).toBe('refresh_uncertain');
  });

  it('while an answer may be under way after the overlap, unless an operator orders it', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const { vault, key } = await connected(bench, 'timed_overlap');
    await noteAttempt(bench, await headFor(bench, key));
    await bench.jump(70_000);
    expect(await codeOf(plan(bench, vault, key))).toBe('refresh_uncertain');
    expect(await plan(bench, vault, key, { keptToken: kept })).toMatchObject({ recovering: true });
    await bench.jump(31_000);
    expect(await plan(bench, vault, key)).toMatchObject({ recovering: false });
  });

  it('with a kept token that was opened under other facts than the row has now', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const row = await bench.row(key);
    const withFacts = (facts: readonly string[]) => plan(bench, vault, key, { keptToken: { ...kept, facts } });
    expect(await withFacts(factsOf(row))).toMatchObject({ recovering: true });
    expect(await withFacts(factsOf({ ...row, app: 'another' }))).toBe('look_again');
  });
});

it('a refresh without a doubt reads no file of the spool', async () => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  const spool = await internalsOf(vault).open().spool();
  spool.list = () => Promise.reject(new Error('the spool is read'));
  expect(await plan(bench, vault, key)).toMatchObject({ candidateId: null });
});

it('only an answer that comes after the preparation stops the request', async () => {
  await using bench = await makeBench();
  const { vault, key } = await connected(bench);
  const file = (attemptId: string) => join(bench.home, 'spool', `${grantId}.${attemptId}.answer`);
  const { grantId, ...head } = await headFor(bench, key);
  for (const [fence, attemptId] of ['before', 'after'].entries()) {
    await noteAttempt(bench, { ...head, grantId, attemptId, fence });
  }
  mkdirSync(join(bench.home, 'spool'));
  writeFileSync(file('before'), 'damaged');
  const made = await plan(bench, vault, key);
  if (made === 'look_again') throw new Error('the answer was read');
  expect(made.isAnswered()).toBe(false);
  writeFileSync(file('after'), 'damaged');
  expect(made.isAnswered()).toBe(true);
});

describe('the budget of retries', () => {
  const backOff = new GrantryError('provider_unavailable', 'The provider is down.');
  it.each<[string, RefreshOptions, { outcome?: 'failed' | 'refused'; leftMs?: number }, string[]]>([
    ['a first try', {}, {}, ['first']],
    ['a try after a refusal', {}, { outcome: 'refused' }, ['first']],
    ['a retry', {}, { outcome: 'failed' }, ['retry']],
    ['no probe', { backOff }, {}, []],
    ['no order of an operator', { keptToken: kept }, {}, []],
    ['nothing near the end of an overlap', {}, { leftMs: minute }, []],
  ])('counts %s', async (_, options, { outcome, leftMs }, counted) => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const { vault, key } = await connected(bench, 'timed_overlap');
    if (outcome !== undefined) await noteAttempt(bench, await headFor(bench, key), outcome);
    if (leftMs !== undefined) await change(bench, { overlap_until: bench.clock.now() + leftMs });
    const tries: string[] = [];
    internalsOf(vault).open().bulkheads.retries.countTry = (_name, kind) => void tries.push(kind);
    await plan(bench, vault, key, options);
    expect(tries).toEqual(counted);
  });
});

describe('which token is sent', () => {
  const doubt = { state: 'uncertain', reason: 'candidate' } as const;
  const refused = { state: 'uncertain', reason: 'stored_refused' } as const;
  const lostLater = ['unknown', 6] as const;
  it.each<{
    what: string;
    at: string;
    row: Partial<GrantRow>;
    /** The rest of the overlap of the stored token. */
    leftMs?: number;
    /** Generations between the candidate and the row. */
    age?: number;
    state?: 'untested' | 'dead';
    other?: readonly ['unknown' | 'failed', number];
    sent: 'stored' | 'successor' | 'candidate';
  }>([
    { what: 'its successor', at: 'strict', row: doubt, sent: 'successor' },
    { what: 'its successor in spite of a lost request', at: 'strict', row: doubt, other: lostLater, sent: 'successor' },
    { what: 'an older candidate', at: 'strict', row: doubt, age: 1, sent: 'stored' },
    { what: 'an older candidate after a refusal', at: 'strict', row: refused, age: 1, sent: 'candidate' },
    {
      what: 'an older candidate after a refusal inside the overlap',
      at: 'overlap_newest_only',
      row: refused,
      leftMs: minute,
      age: 1,
      sent: 'stored',
    },
    { what: 'a rejected successor', at: 'strict', row: doubt, state: 'dead', sent: 'stored' },
    { what: 'a rejected successor', at: 'strict_revokes_family', row: doubt, state: 'dead', sent: 'successor' },
    { what: 'a lost later request', at: 'timed_overlap', row: doubt, leftMs: minute, other: lostLater, sent: 'stored' },
    {
      what: 'a lost earlier request',
      at: 'timed_overlap',
      row: doubt,
      leftMs: minute,
      other: ['unknown', 4],
      sent: 'successor',
    },
    {
      what: 'a later failure',
      at: 'timed_overlap',
      row: doubt,
      leftMs: minute,
      other: ['failed', 6],
      sent: 'successor',
    },
    {
      what: 'the end of the overlap',
      at: 'timed_overlap',
      row: doubt,
      leftMs: -minute,
      other: lostLater,
      sent: 'successor',
    },
    { what: 'a lost later request', at: 'retire_on_use', row: doubt, other: lostLater, sent: 'stored' },
  ])('with $what, at $at: the $sent one', async ({ at, row, leftMs, age = 0, state = 'untested', other, sent }) => {
    await using bench = await makeBench({ profiles: [at] });
    const { vault, key } = await connected(bench, at);
    if (age > 0) expect((await vault.getAccessToken(key)).generation).toBe(2);
    const { generation } = await bench.row(key);
    const id = await addCandidate(bench, vault, key, { generation: generation - age, state });
    if (other !== undefined) {
      const [outcome, fence] = other;
      await noteAttempt(bench, await headFor(bench, key, { fence }), outcome);
    }
    await change(bench, { ...row, overlap_until: leftMs === undefined ? null : bench.clock.now() + leftMs });
    const isCandidate = sent !== 'stored';
    expect(await plan(bench, vault, key)).toMatchObject({
      candidateId: isCandidate ? id : null,
      candidateFence: isCandidate ? 5 : null,
      succeedsStored: sent === 'successor',
      newestCandidateId: state === 'dead' ? null : id,
    });
  });

  it.each([
    ['is retired, so that others are tried', {}, null, 'superseded'],
    ['stays while the row is altered, which hides them all', { app: 'altered' }, 'integrity_failed', 'untested'],
  ] as const)('a candidate that does not open %s', async (_, altered, code, state) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await addCandidate(bench, vault, key, { generation: 1, tokens: 'damaged' });
    await change(bench, { ...doubt, ...altered });
    const planned = plan(bench, vault, key);
    if (code === null) expect(await planned).toMatchObject({ candidateId: null });
    else expect(await codeOf(planned)).toBe(code);
    expect(await candidatesOf(bench)).toMatchObject([{ state }]);
  });
});

/** Prepares a refresh that is not sent. */
async function plan(bench: Bench, vault: Vault, key: GrantKey, options: RefreshOptions = {}) {
  const planned = await planRefresh(internalsOf(vault).open(), await bench.row(key), options);
  if (planned !== 'look_again') await planned.slot.discard();
  return planned;
}

async function change(bench: Bench, columns: Partial<GrantRow>): Promise<void> {
  await bench.judge.db.updateTable('oauth_tokens').set(columns).execute();
}

async function addCandidate(
  bench: Bench,
  vault: Vault,
  key: GrantKey,
  { generation, state = 'untested', tokens }: { generation: number; state?: 'untested' | 'dead'; tokens?: string },
): Promise<string> {
  const context = internalsOf(vault).open();
  const { tenant } = key;
  const row = await bench.row(key);
  const id = crypto.randomUUID();
  const place = { id, tenant, grant_id: row.id, generation };
  const sealed = sealCandidate(await context.keys.pin(tenant), factsOf(row), place, lone(new Secret('a-candidate')));
  const candidate = { ...place, fence: 5, token_fingerprint: 'a-candidate', state, tokens: tokens ?? sealed };
  await changing(context, ({ tx }) => insertCandidate(tx, candidate));
  return id;
}
