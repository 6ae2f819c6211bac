/** Which answers a replay takes from the spool, and what becomes of those that bring no tokens. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, makeBench } from '../../../test/support/bench.ts';
import { allKinds, connected, headFor, leaveAnswer, nothing, replay } from '../../../test/support/left-answers.ts';
import { kindsIn, refuse } from '../../../test/support/refusals.ts';
import { GrantryError } from '../../base/errors.ts';
import { systemWorld } from '../../base/system-world.ts';
import { internalsOf } from '../internals.ts';
import { registerOwner, retireOwner } from '../spool/owner.ts';
import type { Vault } from '../types.ts';
import type { ReplayOptions } from './replay.ts';

const minute = 60_000;
const page = '<p>It is warming up.</p>';

describe('whose answers are replayed', () => {
  const owners = {
    'of this process': (vault: Vault) => internalsOf(vault).open().owner,
    'of another process': () => registerOwner(systemWorld()),
    'of another host': () => ({ id: 'elsewhere', host: 'another-host', pid: 1 }),
  };

  it.each([
    ['of this process', {}, 20_000, 0],
    ['of this process', { ownToo: true }, 0, 1],
    ['of another process', {}, 20_000, 0],
    ['of another process', { grantId: true }, 0, 1],
    ['of another host', {}, 0, 0],
    ['of another host', {}, 20_000, 1],
  ] as const)('an answer %s, with %o after %d ms, changes %d grants', async (whose, options, afterMs, changed) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const owner = owners[whose](vault);
    const head = await headFor(bench, key, { owner });
    await leaveAnswer(bench, vault, head);
    await bench.jump(afterMs);
    const { grantId } = head;
    expect(await replay(vault, 'grantId' in options ? { grantId } : options)).toEqual({ changed, setAside: [] });
    expect((await bench.row(key)).generation).toBe(1 + changed);
    if (whose === 'of another process') retireOwner(owner);
  });

  it('an answer that was set aside waits for no owner', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { owner } = internalsOf(vault).open();
    await leaveAnswer(bench, vault, await headFor(bench, key, { owner }), { kind: 'refused' });
    expect(await replay(vault)).toMatchObject({ changed: 1 });
  });

  it.each([
    ['saved', {}, 1, []],
    ['answer', {}, 2, ['saved']],
    ['saved', { oldToo: true }, 2, ['saved']],
  ] as const)('an old file of the kind %s, with %o, leaves generation %d', async (kind, options, generation, files) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await leaveAnswer(bench, vault, await headFor(bench, key), { kind, outcome: null });
    await bench.jump(12 * minute);
    await replay(vault, options);
    expect((await bench.row(key)).generation).toBe(generation);
    expect(kindsIn(bench)).toEqual(files);
  });
});

describe('an answer without tokens', () => {
  it.each([
    ['a refusal', 'answer', { body: '{"error":"invalid_grant"}', status: 400 }, 'saved'],
    ['an empty one', 'answer', { body: null }, 'saved'],
    ['a page', 'answer', { body: page }, 'unread'],
    ['a page that was set aside', 'refused', { body: page }, 'unread'],
    ['one that does not open', 'answer', { sealedFor: 'globex' }, 'unread'],
    ['a committed one that does not open', 'saved', { sealedFor: 'globex' }, 'saved'],
  ] as const)('%s (%s) changes nothing, and its file stays', async (_, kind, left, then) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await leaveAnswer(bench, vault, await headFor(bench, key), { kind, ...left });
    expect(await replay(vault)).toEqual(nothing);
    expect(kindsIn(bench)).toEqual([then]);
    expect(await bench.row(key)).toMatchObject({ generation: 1, state: 'active' });
  });

  it('waits in its file for a process that knows its provider', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    const { vault: other } = await bench.open({ providers: [] });
    await leaveAnswer(bench, vault, await headFor(bench, key), { body: page });
    expect(await replay(other)).toEqual(nothing);
    expect(kindsIn(bench)).toEqual(['answer']);
    await replay(vault);
    expect(kindsIn(bench)).toEqual(['unread']);
  });

  it('waits in its file for a process that may use its provider', async () => {
    await using bench = await makeBench({ listen: true });
    const [definition] = bench.providers;
    const { vault } = await bench.open({ providers: [] });
    await vault.providers.put({ ...definition, id: 'mine' });
    const { key } = await bench.connect(vault, { provider: 'mine', profile: 'strict' });
    const { vault: other } = await bench.open({ providers: [], unsafeAllowLoopbackProviders: undefined });
    await leaveAnswer(bench, vault, await headFor(bench, key), { body: page });
    expect(await replay(other)).toEqual(nothing);
    expect(kindsIn(bench)).toEqual(['answer']);
  });
});

describe('a grant that is held by an answer', () => {
  it.each([
    ['is in plain doubt once that answer turns out to bring nothing', 'refused', '{"error":"invalid_grant"}', true],
    ['is in plain doubt once that answer is not understood', 'refused', page, true],
    ['stays held while another answer brings nothing', 'answer', '{"error":"invalid_grant"}', false],
    ['stays held while another answer is still not understood', 'unread', page, false],
  ] as const)('%s', async (_, kind, body, isLifted) => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await bench.judge.db.updateTable('oauth_tokens').set({ state: 'uncertain', reason: 'answer_refused' }).execute();
    await leaveAnswer(bench, vault, await headFor(bench, key), { kind, body, status: body === page ? 200 : 400 });
    expect(await replay(vault, allKinds)).toEqual(nothing);
    expect((await bench.row(key)).reason).toBe(isLifted ? 'answer_lost' : 'answer_refused');
  });
});

describe('the pause before an answer is tried again', () => {
  it('leaves out what was not understood, and names what is set aside', async () => {
    await using bench = await makeBench();
    const errors: string[] = [];
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: (text: string) => void errors.push(text) };
    const { vault } = await bench.open({ logger });
    const { key } = await bench.connect(vault);
    const head = await headFor(bench, key);
    await leaveAnswer(bench, vault, head, { kind: 'unread', sealedFor: 'globex' });
    const tries = async (options: ReplayOptions) => {
      errors.length = 0;
      expect(await replay(vault, options)).toEqual(nothing);
      return errors.length;
    };
    // The pause grows with each try.
    for (let count = 0; count < 6; count += 1) expect(await tries({ ...allKinds, retryNow: true })).toBe(1);
    expect(await tries(allKinds)).toBe(0);
    await bench.jump(5 * minute);
    expect(await tries(allKinds)).toBe(1);
  });

  it.each([false, true])(
    'holds the grant of a refused answer all along, also if its file is stuck: %s',
    async (isStuck) => {
      await using bench = await makeBench();
      const { vault, key } = await connected(bench);
      const head = await headFor(bench, key);
      await leaveAnswer(bench, vault, head);
      if (isStuck) mkdirSync(join(bench.home, 'spool', `${head.grantId}.${head.attemptId}.refused`));
      await refuse(bench, 'tokens');
      for (let look = 0; look < 2; look += 1) expect(await replay(vault)).toEqual({ changed: 0, setAside: [head] });
    },
  );

  it('does not begin for a database that is down', async () => {
    await using bench = await makeBench();
    const { vault, key } = await connected(bench);
    await leaveAnswer(bench, vault, await headFor(bench, key));
    const { store } = internalsOf(vault).open();
    const transaction = store.transaction.bind(store);
    store.transaction = () => Promise.reject(new GrantryError('storage_unavailable', 'The database is down.'));
    expect(await codeOf(replay(vault))).toBe('storage_unavailable');
    store.transaction = transaction;
    expect(kindsIn(bench)).toEqual(['answer']);
    expect(await replay(vault)).toMatchObject({ changed: 1 });
  });
});
