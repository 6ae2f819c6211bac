/** Answers that the database refuses, or that are not understood: they cost no other grant anything, and nothing is lost. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, tidyUp } from '../../../test/support/bench.ts';
import { filesIn, kindsIn, pretendFailover, refreshAndLose, refuse } from '../../../test/support/refusals.ts';
import type { Logger } from '../../base/log.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';
import { demoClient } from '../../simulator/index.ts';
import { metadataOf } from '../../storage/statements/grants.ts';
import { internalsOf } from '../internals.ts';

const minute = 60_000;

describe.each(databaseKinds)('on %s', (kind) => {
  it('a refused answer holds only its own grant, in every process and on every host, until it can be saved', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict_revokes_family'] });
    const { vault } = await bench.open();
    const elsewhere = await bench.open({ spool: join(bench.home, 'another-host') });
    const provider = 'strict_revokes_family';
    const { key, minted } = await bench.connect(vault, { provider });
    const { key: neighbour } = await bench.connect(vault, { tenant: 'globex', provider });
    const mend = await refuse(bench, 'save');
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(await bench.row(key)).toMatchObject({ generation: 1, state: 'uncertain', reason: 'answer_refused' });
    expect((await vault.grants.get(key))?.reason).toBe('answer_refused');
    expect(kindsIn(bench)).toEqual(['refused']);
    expect((await vault.getAccessToken(neighbour)).generation).toBe(2);
    for (let passed = 0; passed < 4; passed += 1) {
      await bench.jump(5 * minute);
      await expect(vault.getAccessToken(key)).rejects.toMatchObject({
        code: 'refresh_uncertain',
        message: expect.stringContaining('refuses to save'),
        action: expect.stringContaining('grantry recover acme strict_revokes_family'),
      });
      expect(await codeOf(elsewhere.vault.getAccessToken(key))).toBe('refresh_uncertain');
    }
    const restarted = await bench.open();
    expect(await codeOf(restarted.vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(await vault.recover(key)).toMatchObject({ outcome: 'failed', error: 'refresh_uncertain' });
    expect(bench.requests()).toHaveLength(2);
    await mend();
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
    expect((await elsewhere.vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(2);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    expect(await bench.events(key)).toEqual(['stored', 'uncertain', 'refreshed']);
    // The third vault swept a part of the spool when it opened, perhaps the neighbour's old answer.
    expect(new Set(kindsIn(bench))).toEqual(new Set(['saved']));
  });

  it.each(['here', 'on another host'])(
    'a spent token with another app is refused while its answer waits %s',
    async (where) => {
      await using bench = await makeBench({ kind, profiles: ['strict'] });
      const { vault } = await bench.open();
      const { key, minted } = await bench.connect(vault);
      const mend = await refuse(bench, 'save');
      expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      const { vault: handedTo } =
        where === 'here' ? { vault } : await bench.open({ spool: join(bench.home, 'elsewhere') });
      const app = { provider: 'strict', clientId: demoClient.clientId, clientSecret: demoClient.secret ?? '' };
      await vault.apps.put('another', app);
      await mend();
      const again = { refreshToken: minted.refreshToken, app: 'another', replace: true };
      await expect(handedTo.storeTokens(key, again)).rejects.toMatchObject({
        code: 'refresh_uncertain',
        action: expect.stringContaining('grantry recover acme strict'),
      });
      expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    },
  );

  it('tokens are saved without the metadata that the database refuses', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'], change: capturing });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    await refuse(bench, 'metadata');
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(metadataOf(await bench.row(key))).toEqual({});
    expect(kindsIn(bench)).toEqual(['saved']);
  });

  it('half a character in an answer costs no token, and is not stored', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'], change: capturing });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set: { company: 'Caf\ud800' } } });
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(metadataOf(await bench.row(key))).toEqual({ kind: 'Bearer' });
  });

  it('a failover brings back the answers of all other grants, and holds the grant of a refused one', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    const { key: lost } = await bench.connect(vault, { tenant: 'globex' });
    const { key: other } = await bench.connect(vault, { tenant: 'initech', expiresIn: 7_200 });
    for (const each of [key, lost]) await refreshAndLose(bench, vault, each);
    await refuse(bench, 'tokens');
    await bench.jump(7_300_000 - minute);
    // The promoted standby lacks both commits, and refuses one of them.
    const failover = pretendFailover(vault);
    expect((await vault.getAccessToken(other)).generation).toBe(2);
    expect(failover.failedOver).toBe(false);
    expect((await vault.getAccessToken(lost)).generation).toBeGreaterThanOrEqual(2);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(await bench.row(key)).toMatchObject({ state: 'uncertain', reason: 'answer_refused' });
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  });

  it('an adoption ends although one answer is refused, and names its grant', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const { key: lost } = await bench.connect(vault, { tenant: 'globex' });
    for (const each of [key, lost]) await refreshAndLose(bench, vault, each);
    await refuse(bench, 'tokens');
    await bench.judge.db.updateTable('grantry_instance').set({ quarantined_reason: 'restored' }).execute();
    const { vault: restored } = await bench.open();
    expect(restored.quarantine).not.toBeNull();
    const reports = await restored.adopt();
    expect(reports).toMatchObject([
      { tenant: 'acme', outcome: 'set_aside', error: 'refresh_uncertain' },
      { tenant: 'globex', outcome: 'not_probed' },
    ]);
    expect(restored.quarantine).toBeNull();
    expect((await restored.getAccessToken(lost)).generation).toBe(2);
    await bench.jump(10 * minute);
    expect(await codeOf(restored.getAccessToken(key))).toBe('refresh_uncertain');
    expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  });

  it.each(['none', 'retire_on_use'])('%s: where a replay is harmless, the next request heals the grant', async (id) => {
    await using bench = await makeBench({ kind, profiles: [id] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: id });
    const mend = await refuse(bench, 'save');
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    // It keeps the pace of the back-off.
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(5_000);
    await mend();
    expect((await vault.getAccessToken(key)).generation).toBeGreaterThanOrEqual(2);
    expect((await bench.row(key)).state).toBe('active');
  });

  it('a refused answer is revoked and shredded when its grant is disconnected', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    await refuse(bench, 'tokens');
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await vault.disconnect(key);
    expect(bench.simulator.family(minted.family)?.alive).toBe(false);
    expect(filesIn(bench)).toEqual([]);
  });

  it('a grant that connects again while its tombstone is cleaned keeps its newer answer', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const context = internalsOf(vault).open();
    const spool = await context.spool();
    const { id: grantId, generation } = await bench.row(key);
    const keepFor = async (attemptId: string, of: number) => {
      const head = { version: 1 as const, tenant: 'acme', grantId, attemptId, generation: of, fence: of + 1 };
      const more = { tokenFingerprint: '', candidateId: null, owner: context.owner, at: 1 };
      const slot = await spool.reserve(`${grantId}.${attemptId}`);
      const raw = { status: 200, contentType: null, retryAfter: null, body: null, incomplete: false, requestedAt: 1 };
      await slot.keep({ ...head, ...more }, await context.keys.pin('acme'), raw);
    };
    const list = spool.list.bind(spool);
    let lists = 0;
    spool.list = async (...wanted) => {
      lists += 1;
      if (lists === 2) {
        await keepFor('old', generation);
        await keepFor('new', generation + 1);
      }
      return list(...wanted);
    };
    await vault.disconnect(key);
    expect((await list(grantId)).map(({ head }) => head.attemptId)).toEqual(['new']);
  });
});

it('workers try a refused answer again with a growing pause, and save it once the database takes it', async () => {
  await using bench = await makeBench({ profiles: ['strict'] });
  const refused: string[] = [];
  const { vault } = await bench.open({ logger: noting(refused) });
  const { key } = await bench.connect(vault);
  const mend = await refuse(bench, 'save');
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  for (let passed = 0; passed < 30; passed += 1) {
    await bench.jump(5_000);
    await tidyUp(vault);
  }
  const tries = refused.filter((message) => message.includes('is set aside')).length;
  expect(tries).toBeGreaterThan(3);
  expect(tries).toBeLessThan(9);
  await mend();
  for (let passed = 0; passed < 80 && (await bench.row(key)).generation === 1; passed += 1) {
    await bench.jump(5_000);
    await tidyUp(vault);
  }
  expect(await bench.row(key)).toMatchObject({ generation: 2, state: 'active', reason: null });
  expect(bench.requests()).toHaveLength(1);
});

describe('an answer that was not understood', () => {
  it('stays sealed in the spool, is reported, and is tried again by recover', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault);
    // An answer of today's kind stands for one that a later version understands.
    const mend = await refuse(bench, 'save');
    await codeOf(vault.getAccessToken(key));
    await mend();
    const refused = filesIn(bench).find((name) => name.endsWith('.refused')) ?? '';
    const stamp = `m${Math.floor(bench.clock.now() / minute)}`;
    const unread = refused.replace(/refused$/, `${stamp}.unread`);
    renameSync(join(bench.home, 'spool', refused), join(bench.home, 'spool', unread));
    await bench.judge.db
      .updateTable('oauth_tokens')
      .set({ state: 'reauthorization_required', reason: 'lost_rotation' })
      .execute();
    await bench.jump(20 * minute);
    const context = internalsOf(vault).open();
    await (await context.spool()).sweep({ olderThan: bench.clock.now() - 10 * minute });
    expect(await (await context.spool()).depth()).toMatchObject({ unread: 1 });
    expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    expect(kindsIn(bench)).toEqual(['saved']);
  });

  it.each([
    ['a page', { kind: 'html', when: 'after' } as const],
    ['an object without tokens', { kind: 'patch', set: { access_token: 1, refresh_token: 1 } } as const],
  ])('that is %s is kept, and the grant is asked for again as before', async (_, effect) => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(kindsIn(bench)).toEqual(['unread']);
    await bench.jump(121_000);
    // Refused once, and once more after a pause.
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    const maintain = async (minutes: number) => {
      for (let passed = 0; passed < minutes; passed += 1) {
        await bench.jump(minute);
        await tidyUp(vault);
      }
    };
    await maintain(30);
    expect(kindsIn(bench)).toEqual(['unread']);
    // Until the tokens of a new authorization are proven, it may hold the successor of the token that they replaced.
    await bench.connect(vault);
    await maintain(30);
    expect(kindsIn(bench)).toEqual(['unread']);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
    await maintain(60);
    expect(kindsIn(bench)).not.toContain('unread');
  });

  it('is shredded when the grant is disconnected', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'html', when: 'after' } });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await vault.disconnect(key);
    expect(filesIn(bench)).toEqual([]);
  });
});

function capturing(definition: ProviderDefinitionInput): ProviderDefinitionInput {
  return { ...definition, capture: { token: { token_type: 'kind', company: 'company' } } };
}

function noting(into: string[]): Logger {
  const note = (message: string) => void into.push(message);
  return { debug: () => {}, info: () => {}, warn: note, error: note };
}
