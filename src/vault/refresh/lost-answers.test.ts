/** Answers that are lost, cut or wrong, at providers of every rotation class. */
import { describe, expect, it } from 'vitest';
import { codeOf, databaseKinds, makeBench, until } from '../../../test/support/bench.ts';
import type { FaultEffect } from '../../simulator/index.ts';

const losses: [string, FaultEffect][] = [
  ['reset after processing', { kind: 'reset', when: 'after' }],
  ['reset before processing', { kind: 'reset', when: 'before' }],
  ['half an answer', { kind: 'cut' }],
  ['a 500 after processing', { kind: 'status', status: 500, when: 'after' }],
  ['an HTML page after processing', { kind: 'html', when: 'after' }],
];

/** The wait until a spent token may be tried again, if no answer came, and the outcome of that try. */
const classes = [
  { id: 'none', doubt: false, silentMs: 3_000, survives: true },
  { id: 'timed_overlap', doubt: true, silentMs: 3_000, survives: true },
  { id: 'overlap_newest_only', doubt: true, silentMs: 3_000, survives: true },
  { id: 'retire_on_use', doubt: true, silentMs: 3_000, survives: true },
  { id: 'strict', doubt: true, silentMs: 121_000, survives: false },
  { id: 'strict_revokes_family', doubt: true, silentMs: 121_000, survives: false },
] as const;

const cases = classes.flatMap((each) => losses.map(([name, effect]) => ({ ...each, name, effect })));

describe.each(databaseKinds)('on %s', (kind) => {
  // PostgreSQL runs the same statements, so one loss per class suffices there.
  const tried = kind === 'sqlite' ? cases : cases.filter((each) => each.name === 'reset after processing');
  it.each(tried)('$name at $id', async ({ id, effect, doubt, silentMs, survives }) => {
    await using bench = await makeBench({ kind, profiles: [id] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: id });
    bench.simulator.faults.add({ endpoint: 'token', effect });
    const code = await codeOf(vault.getAccessToken(key));
    expect(code).toMatch(doubt ? /^refresh_uncertain$/ : /^provider_(unavailable|error)$/);
    expect((await bench.row(key)).state).toBe(doubt ? 'uncertain' : 'active');
    // Nothing is sent again before that time.
    expect(await codeOf(vault.getAccessToken(key))).toBe(code);
    expect(bench.requests()).toHaveLength(1);
    // After a whole answer no request is under way, so that no class waits for its lease.
    await bench.jump(effect.kind === 'status' || effect.kind === 'html' ? 3_000 : silentMs);
    const processed = bench.requests()[0]?.outcome === 'issued';
    if (survives || !processed) {
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      expect((await bench.row(key)).state).toBe('active');
    } else {
      expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      await bench.jump(31_000);
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
      expect((await bench.row(key)).reason).toBe('lost_rotation');
      await bench.jump(silentMs);
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
      expect(await bench.events(key)).toEqual(['stored', 'uncertain', 'suspect', 'reauthorization_required']);
    }
    expect(bench.requests()).toHaveLength(survives || !processed ? 2 : 3);
  });
});

describe('on SQLite', () => {
  it('no second request is sent if the definition forbids a replay', async () => {
    await using bench = await makeBench({
      profiles: ['strict_revokes_family'],
      change: (each) => ({ ...each, refreshToken: { ...each.refreshToken, replayAfterLoss: false } }),
    });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'strict_revokes_family' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(121_000);
    for (let tries = 0; tries < 3; tries += 1) {
      expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
      await bench.jump(121_000);
    }
    expect(bench.requests()).toHaveLength(1);
    expect((await bench.row(key)).reason).toBe('lost_rotation');
    expect(await bench.events(key)).toEqual(['stored', 'uncertain', 'reauthorization_required']);
  });

  it.each(['none', 'timed_overlap', 'retire_on_use'])(
    'the same request is sent again where it does no harm, also if the definition forbids a replay, at %s',
    async (id) => {
      await using bench = await makeBench({
        profiles: [id],
        change: (each) => ({ ...each, refreshToken: { ...each.refreshToken, replayAfterLoss: false } }),
      });
      const { vault } = await bench.open();
      const { key } = await bench.connect(vault, { provider: id });
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
      expect(await codeOf(vault.getAccessToken(key))).toMatch(/refresh_uncertain|provider_unavailable/);
      await bench.jump(5_000);
      expect((await vault.getAccessToken(key)).generation).toBe(2);
    },
  );

  it('the grant is given up with its reason after the overlap has ended', async () => {
    await using bench = await makeBench({ profiles: ['timed_overlap'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault, { provider: 'timed_overlap' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(90_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
    expect((await bench.row(key)).reason).toBe('lost_rotation');
    expect(bench.requests()).toHaveLength(3);
  });

  it.each(['strict_revokes_family', 'strict', 'timed_overlap', 'retire_on_use'])(
    'complete tokens in an answer that is odd are kept and tried at once, at %s',
    async (id) => {
      await using bench = await makeBench({ profiles: [id] });
      const { vault } = await bench.open();
      const { key, minted } = await bench.connect(vault, { provider: id });
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set: { error: 'warming_up' } } });
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      expect(bench.requests()).toHaveLength(2);
      expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
      expect(bench.simulator.family(minted.family)?.alive).toBe(true);
      await bench.jump(3_600_000);
      expect((await vault.getAccessToken(key)).generation).toBe(3);
    },
  );

  it('requests keep the pace of the back-off while every answer is unusable', async () => {
    await using bench = await makeBench({ profiles: ['retire_on_use'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'retire_on_use' });
    bench.simulator.faults.add({ endpoint: 'token', times: 1_000, effect: { kind: 'patch', set: { error: 'odd' } } });
    for (let tries = 0; tries < 5; tries += 1) {
      expect(await codeOf(vault.getAccessToken(key))).toMatch(/refresh_uncertain|provider_/);
      await bench.jump(1_000);
    }
    expect(bench.requests().length).toBeLessThan(8);
    bench.simulator.faults.clear();
    await bench.jump(600_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it('a disconnect revokes the living candidate, not only the spent token', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: 'strict' });
    // The successor is salvaged as a candidate, and the provider stays down. The stored token is spent.
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set: { error: 'warming_up' } } });
    bench.simulator.faults.add({ endpoint: 'token', times: 9, effect: { kind: 'reset', when: 'before' } });
    await codeOf(vault.getAccessToken(key));
    expect(bench.simulator.isAlive(minted.refreshToken)).toBe(false);
    const living = bench.simulator.family(minted.family)?.current;
    await vault.disconnect(key);
    const revoked = bench.simulator.history.events().filter((event) => event.kind === 'revoke');
    expect(revoked.map((event) => event.token)).toContain(living);
  });

  it('a late answer revives a grant that was given up without it', async () => {
    await using bench = await makeBench({ profiles: ['overlap_newest_only'] });
    const slow = await bench.open();
    const other = await bench.open();
    const { key } = await bench.connect(slow.vault, { provider: 'overlap_newest_only' });
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const late = codeOf(slow.vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    slow.world.freeze();
    // The provider refuses every request of the others, so they must conclude that the grant is over.
    bench.simulator.faults.add({ endpoint: 'token', times: 9, effect: { kind: 'error', error: 'invalid_grant' } });
    await bench.jump(5_000);
    expect(await codeOf(other.vault.getAccessToken(key))).toBe('refresh_uncertain');
    for (let tries = 0; (await bench.row(key)).state !== 'reauthorization_required' && tries < 8; tries += 1) {
      await bench.jump(31_000);
      await codeOf(other.vault.getAccessToken(key));
    }
    expect((await bench.row(key)).state).toBe('reauthorization_required');
    bench.simulator.faults.clear();
    slow.world.thaw();
    await late;
    await until(async () => (await bench.row(key)).state !== 'reauthorization_required', 'the revival');
    expect((await other.vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toContain('revived');
    expect((await bench.row(key)).state).toBe('active');
  });

  it('one mistaken refusal changes nothing', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'error', error: 'invalid_grant' } });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(31_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toEqual(['stored', 'suspect', 'refreshed']);
  });
});
