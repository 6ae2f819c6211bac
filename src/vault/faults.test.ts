/**
 * The fault model of a vault, one test per fault. The provider's history decides. `kills.long.test.ts` kills
 * processes, `cut-wire.long.test.ts` cuts the connection to the database.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench, settled, until } from '../../test/support/bench.ts';
import { spooled } from '../../test/support/spools.ts';
import type { FaultEffect } from '../simulator/index.ts';

const minute = 60_000;

describe.each(databaseKinds)('on %s', (kind) => {
  it('F-09: two hours of failures harm no grant', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict_revokes_family', 'none'] });
    const { vault } = await bench.open();
    const keys = [
      (await bench.connect(vault, { provider: 'strict_revokes_family' })).key,
      (await bench.connect(vault, { provider: 'none' })).key,
    ];
    bench.simulator.faults.add({
      endpoint: 'token',
      forMs: 120 * minute,
      effect: { kind: 'status', status: 503, when: 'before' },
    });
    for (let passed = 0; passed < 24; passed += 1) {
      for (const key of keys) expect(await codeOf(vault.getAccessToken(key))).toMatch(/unavailable|uncertain/);
      await bench.jump(5 * minute);
    }
    for (const key of keys) {
      expect((await vault.getAccessToken(key)).generation).toBe(2);
      expect((await bench.row(key)).state).toBe('active');
    }
  });

  it.each([
    ['seconds', '120'],
    ['a date', 'date'],
  ])('F-10: a refresh waits for the Retry-After of a 429 in %s', async (_, form) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const retryAfter = form === 'date' ? new Date(bench.clock.now() + 121_000).toUTCString() : form;
    bench.simulator.faults.add({
      endpoint: 'token',
      effect: { kind: 'status', status: 429, when: 'before', headers: { 'retry-after': retryAfter } },
    });
    expect(await codeOf(vault.getAccessToken(key))).toBe('provider_throttled');
    await bench.jump(110_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('provider_throttled');
    expect(bench.requests()).toHaveLength(1);
    await bench.jump(12_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(await bench.events(key)).toEqual(['stored', 'refreshed']);
  });

  it('F-12: a provider that refuses every grant by mistake for ten minutes costs no grant', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const keys = [];
    for (let n = 0; n < 8; n += 1) keys.push((await bench.connect(vault, { tenant: `tenant-${n}` })).key);
    bench.simulator.faults.add({
      endpoint: 'token',
      forMs: 10 * minute,
      effect: { kind: 'error', error: 'invalid_grant' },
    });
    for (let passed = 0; passed < 20; passed += 1) {
      await Promise.all(keys.map((key) => codeOf(vault.getAccessToken(key))));
      await bench.jump(31_000);
    }
    const states = await Promise.all(keys.map(async (key) => (await bench.row(key)).state));
    expect(new Set(states)).toEqual(new Set(['suspect']));
    await bench.jump(6 * minute);
    for (const key of keys) expect((await vault.getAccessToken(key)).generation).toBe(2);
  });

  it('F-16: many processes over many grants make one token request per grant', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict', 'retire_on_use'] });
    const vaults = await Promise.all([1, 2, 3, 4].map(async () => (await bench.open()).vault));
    const keys = [];
    for (let n = 0; n < 12; n += 1) {
      const provider = n % 2 === 0 ? 'strict' : 'retire_on_use';
      keys.push((await bench.connect(vaults[0] ?? expect.unreachable(), { tenant: `tenant-${n}`, provider })).key);
    }
    const results = await Promise.all(keys.flatMap((key) => vaults.map((vault) => vault.getAccessToken(key))));
    expect(new Set(results.map((token) => token.generation))).toEqual(new Set([2]));
    expect(bench.requests()).toHaveLength(keys.length);
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
  });

  it.each(['retire_on_use', 'overlap_newest_only', 'timed_overlap'])(
    'F-19: the late answer of a holder that stood still is kept, at %s',
    async (id) => {
      await using bench = await makeBench({ kind, profiles: [id] });
      const slow = await bench.open();
      const other = await bench.open();
      const { key, minted } = await bench.connect(slow.vault, { provider: id });
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
      const late = slow.vault.getAccessToken(key);
      await until(() => bench.requests().length === 1, 'the request');
      slow.world.freeze();
      await bench.jump(5_000);
      expect((await other.vault.getAccessToken(key)).generation).toBe(2);
      slow.world.thaw();
      expect((await late).generation).toBe(2);
      expect(await candidates(bench)).toBe(1);
      for (let generation = 3; generation < 6; generation += 1) {
        await bench.jump(61 * minute);
        expect((await other.vault.getAccessToken(key)).generation).toBe(generation);
      }
      expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    },
  );

  it('F-19: a holder that was paused before its first byte sends nothing after its lease became unsafe', async () => {
    await using bench = await makeBench({ kind, profiles: ['strict_revokes_family'] });
    const slow = await bench.open();
    const other = await bench.open();
    const { key, minted } = await bench.connect(slow.vault, { provider: 'strict_revokes_family' });
    slow.world.freezeBeforeSend();
    const late = codeOf(slow.vault.getAccessToken(key));
    await until(async () => (await bench.row(key)).lease_owner !== null, 'the lease');
    await settled();
    await bench.jump(121_000);
    expect((await other.vault.getAccessToken(key)).generation).toBe(2);
    slow.world.thaw();
    expect(await late).toBe('provider_unavailable');
    await settled(20);
    expect(bench.requests()).toHaveLength(1);
    expect((await slow.vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it.each([
    ['at once', false],
    ['from the queue', true],
  ])('F-22: an answer for a tenant that disconnected meanwhile is revoked (%s)', async (_, queued) => {
    await using bench = await makeBench({ kind });
    const one = await bench.open();
    const other = await bench.open();
    const { key, minted } = await bench.connect(one.vault);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 1_000, when: 'after' } });
    const refreshing = codeOf(one.vault.getAccessToken(key));
    await until(() => bench.requests().length === 1, 'the request');
    if (queued)
      bench.simulator.faults.add({ endpoint: 'revoke', effect: { kind: 'status', status: 503, when: 'before' } });
    const { revocation } = await other.vault.disconnect(key);
    expect(revocation).toBe(queued ? 'queued' : 'revoked');
    await bench.jump(1_100);
    expect(await refreshing).toBe('grant_not_found');
    const successor = bench.requests()[0]?.successor;
    const revoked = bench.simulator.history.events().filter((event) => event.kind === 'revoke');
    expect(revoked.map((event) => event.token)).toContain(successor);
    expect(bench.simulator.family(minted.family)?.alive).toBe(false);
    const row = await bench.row(key);
    expect([row.state, row.access_token, row.refresh_token]).toEqual(['disconnected', null, null]);
    // No sealed value and no key is left.
    expect(await candidates(bench)).toBe(0);
    expect(spooled(bench, '')).toEqual([]);
    const keysLeft = await bench.judge.db.selectFrom('grantry_tenant_keys').select('tenant').execute();
    expect(keysLeft.map((each) => each.tenant)).not.toContain('acme');
  });
});

describe('on SQLite', () => {
  const odd: [string, FaultEffect][] = [
    ['HTML with 200', { kind: 'html', when: 'before' }],
    ['HTML with 400', { kind: 'html', status: 400, when: 'before' }],
    ['half an answer', { kind: 'cut' }],
    ['two megabytes', { kind: 'huge', bytes: 2_000_000 }],
    ['a gzip bomb', { kind: 'gzip_bomb', bytes: 20_000_000 }],
    ['a redirect', { kind: 'redirect', location: 'https://elsewhere.example/token' }],
    ['no token and no error', { kind: 'patch', remove: ['access_token', 'refresh_token'] }],
    ['an unknown error', { kind: 'error', error: 'out_of_cheese' }],
    ['invalid_client', { kind: 'error', error: 'invalid_client', status: 401 }],
    ['nothing at all', { kind: 'status', status: 200, when: 'before' }],
    ['a refusal with 500', { kind: 'error', error: 'invalid_grant', status: 500 }],
  ];
  it.each(odd)('F-11: %s is never stored and never ends a grant', async (_, effect) => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const before = await bench.row(key);
    bench.simulator.faults.add({ endpoint: 'token', effect });
    expect(await codeOf(vault.getAccessToken(key))).not.toBe('reauthorization_required');
    const row = await bench.row(key);
    expect(['active', 'uncertain']).toContain(row.state);
    expect(row.refresh_token).toBe(before.refresh_token);
  });

  it.each([3_600_000, -3_600_000])('F-13: a process whose clock is %d ms off breaks no lease', async (skewMs) => {
    await using bench = await makeBench({ kind: 'postgres', profiles: ['strict_revokes_family'] });
    const right = await bench.open();
    const wrong = await bench.open();
    const { key, minted } = await bench.connect(right.vault, { provider: 'strict_revokes_family' });
    wrong.world.skewMs = skewMs;
    bench.simulator.faults.add({ endpoint: 'token', times: 2, effect: { kind: 'delay', ms: 500, when: 'after' } });
    const both = Promise.all([right.vault, wrong.vault].map((vault) => vault.getAccessToken(key)));
    await bench.pass(20_000, () => bench.requests().length > 0);
    await bench.pass(5_000);
    await both;
    expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  });

  it.each([3_600_000, -3_600_000])(
    'F-14: a clock that jumps by %d ms in mid-refresh makes it early or late at worst',
    async (jumpMs) => {
      await using bench = await makeBench({ profiles: ['strict_revokes_family'] });
      const { vault, world } = await bench.open();
      const { key, minted } = await bench.connect(vault, { provider: 'strict_revokes_family' });
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 500, when: 'after' } });
      const refreshing = vault.getAccessToken(key);
      await until(() => bench.requests().length === 1, 'the request');
      world.skewMs = jumpMs;
      await bench.jump(600);
      await refreshing.catch(() => {});
      world.skewMs = 0;
      await bench.jump(125_000);
      expect((await vault.getAccessToken(key)).generation).toBeGreaterThan(1);
      expect(bench.simulator.family(minted.family)?.alive).toBe(true);
      expect(bench.simulator.history.duplicateSpends()).toHaveLength(0);
    },
  );

  it('F-15: no token is spent without room for the answer', async () => {
    await using bench = await makeBench();
    const file = join(bench.home, 'a-file');
    writeFileSync(file, '');
    const { vault } = await bench.open({ spool: join(file, 'spool') });
    const { key } = await bench.connect(vault);
    expect(await codeOf(vault.getAccessToken(key))).toBe('storage_unavailable');
    expect(bench.requests()).toHaveLength(0);
    expect((await bench.row(key)).lease_owner).toBeNull();
  });

  it('F-04: an answer that its own process could not commit is replayed before any token is spent', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    const mend = refuseCommits(bench);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    mend();
    await bench.jump(121_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it('F-04: an answer that another living process could not commit is replayed too', async () => {
    await using bench = await makeBench();
    const stuck = await bench.open();
    const other = await bench.open();
    const { key } = await bench.connect(stuck.vault);
    const mend = refuseCommits(bench);
    expect(await codeOf(stuck.vault.getAccessToken(key))).toBe('refresh_uncertain');
    mend();
    await bench.jump(121_000);
    expect((await other.vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(1);
  });

  it('F-04: no token is spent while a waiting answer cannot be committed', async () => {
    await using bench = await makeBench();
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    refuseCommits(bench);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(121_000);
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(bench.requests()).toHaveLength(1);
  });

  it('F-04: a spooled answer that was altered counts as lost, and prevents no refresh', async () => {
    await using bench = await makeBench({ profiles: ['retire_on_use'] });
    const killed = await bench.open();
    const { key } = await bench.connect(killed.vault, { provider: 'retire_on_use' });
    const { key: other } = await bench.connect(killed.vault, { provider: 'retire_on_use', tenant: 'other' });
    const mend = refuseCommits(bench);
    expect(await codeOf(killed.vault.getAccessToken(key))).toBe('refresh_uncertain');
    expect(await codeOf(killed.vault.getAccessToken(other))).toBe('refresh_uncertain');
    mend();
    await bench.crash(killed);
    const rotten = spooled(bench, '.refused').find((file) => readFileSync(file, 'utf8').includes('"acme"'));
    const text = readFileSync(rotten ?? '', 'utf8');
    writeFileSync(rotten ?? '', `${text.slice(0, -20)}AAAA${text.slice(-16)}`);
    const { vault } = await bench.open();
    expect((await bench.row(other)).generation).toBe(2);
    await bench.jump(5_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    expect(bench.requests()).toHaveLength(3);
  });
});

async function candidates(bench: Bench): Promise<number> {
  return (await bench.judge.db.selectFrom('grantry_candidates').select('id').execute()).length;
}

/** Makes every save fail with a database error other than an outage. The returned function ends that. */
function refuseCommits(bench: Bench): () => void {
  const run = (statement: string): void => {
    const database = new DatabaseSync(bench.database.slice('sqlite:'.length));
    database.exec(statement);
    database.close();
  };
  run(`create trigger refuse before update on oauth_tokens when new.generation > old.generation
    begin select raise(abort, 'no'); end`);
  return () => run('drop trigger refuse');
}
