/** The order in which parked tokens may be sent, at a provider where one replay ends the grant. */
import { copyFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { type Bench, type Connected, codeOf, makeBench, nameOfToken } from '../../../test/support/bench.ts';
import { limits } from '../../base/limits.ts';
import { Secret } from '../../base/secret.ts';
import { builtInProfile } from '../../simulator/index.ts';
import { factsOf } from '../grant/facts.ts';
import { internalsOf } from '../internals.ts';
import { parkTokens } from './save.ts';

const provider = 'strict_revokes_family';
const strange = { endpoint: 'token', effect: { kind: 'patch', set: { error: 'warming_up' } } } as const;
const refusal = { endpoint: 'token', effect: { kind: 'error', error: 'invalid_grant' } } as const;

it('a parked token whose own successor was parked is never sent again', async () => {
  await using bench = await makeBench({ profiles: [provider] });
  const { vault } = await bench.open();
  const { key, minted } = await bench.connect(vault, { provider });
  bench.simulator.faults.add({ ...strange, times: 2 });
  bench.simulator.faults.add({ ...refusal, times: 2 });
  for (let tries = 0; tries < 8; tries += 1) {
    await codeOf(vault.getAccessToken(key));
    await bench.jump(tries === 0 ? 121_000 : 31_000);
  }
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
  expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
  // The stored token, its successor, and that one's successor, which is refused twice and tried by the recovery.
  const sent = bench.requests().map((each) => each.token);
  expect(sent[0]).toBe(nameOfToken(minted.refreshToken));
  expect(sent).toEqual([sent[0], sent[1], sent[2], sent[2], sent[2]]);
  expect(new Set(sent).size).toBe(3);
});

it.each(['same', 'new', 'newest_only'] as const)(
  'a parked token whose own answer was lost is sent again, where a replay brings a pair that is %s',
  async (replay) => {
    const profile = builtInProfile('timed_overlap', { rotation: { replay } });
    await using bench = await makeBench({ profiles: [profile] });
    const { vault } = await bench.open();
    const { key, minted } = await bench.connect(vault, { provider: profile.id });
    bench.simulator.faults.add(strange);
    bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
    expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
    await bench.jump(10_000);
    expect((await vault.getAccessToken(key)).generation).toBe(2);
    // The stored token would bring its successor once more, which is spent and works only for the rest of its overlap.
    const [first, second, third] = bench.requests().map((each) => each.token);
    expect([first, second === first, third]).toEqual([nameOfToken(minted.refreshToken), false, second]);
    await bench.jump(3_600_000);
    expect((await vault.getAccessToken(key)).generation).toBe(3);
  },
);

it('a late sibling does not hide the successor of the stored token', async () => {
  await using bench = await makeBench({ profiles: [provider] });
  const { vault } = await bench.open();
  const connected = await bench.connect(vault, { provider });
  const { key, minted } = connected;
  await vault.getAccessToken(key);
  await bench.jump(3_600_000);
  bench.simulator.faults.add(strange);
  bench.simulator.faults.add(refusal);
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  expect(await parkLate(bench, vault, connected, { generation: 1, fence: 0 })).toBe('parked');
  await bench.jump(31_000);
  expect((await vault.getAccessToken(key)).generation).toBe(3);
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
});

it('a family that our own replay revoked is reported as lost, even if answers arrive late', async () => {
  await using bench = await makeBench({ profiles: [provider] });
  const { vault } = await bench.open();
  const connected = await bench.connect(vault, { provider });
  const { key } = connected;
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'reset', when: 'after' } });
  await codeOf(vault.getAccessToken(key));
  await bench.jump(121_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(31_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
  expect(await parkLate(bench, vault, connected, { generation: 1, fence: 1 })).toBe('parked');
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  await bench.jump(31_000);
  expect(await codeOf(vault.getAccessToken(key))).toBe('reauthorization_required');
  expect((await bench.row(key)).reason).toBe('lost_rotation');
});

it.each(['none', 'retire_on_use'])('%s: the requests end even if every answer finds its lease gone', async (id) => {
  await using bench = await makeBench({ profiles: [id] });
  const { vault, world } = await bench.open();
  const { key } = await bench.connect(vault, { provider: id });
  const fetch = world.fetch.bind(world);
  world.fetch = async (url, init) => {
    const response = await fetch(url, init);
    const database = new DatabaseSync(bench.database.slice('sqlite:'.length), { timeout: 60_000 });
    database.exec('update oauth_tokens set lease_fence = lease_fence + 1, lease_owner = null, lease_until = null');
    database.close();
    return response;
  };
  expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
  expect(bench.requests().length).toBeLessThanOrEqual(limits.refreshRoundsMax);
});

it('a process that does not know the provider brings its answers into the copy before it ends the quarantine', async () => {
  await using bench = await makeBench({ profiles: [provider] });
  const file = bench.database.slice('sqlite:'.length);
  const before = await bench.open();
  const { key, minted } = await bench.connect(before.vault, { provider });
  await before.vault.close();
  copyFileSync(file, `${file}.backup`);
  const after = await bench.open();
  await after.vault.getAccessToken(key);
  await after.vault.close();
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
  copyFileSync(`${file}.backup`, file);
  const { vault: stranger } = await bench.open({ providers: [] });
  await stranger.adopt();
  expect(await bench.row(key)).toMatchObject({ state: 'uncertain', reason: 'candidate' });
  const { vault: operator } = await bench.open();
  expect((await operator.getAccessToken(key)).generation).toBe(2);
  expect(bench.simulator.family(minted.family)?.alive).toBe(true);
});

/** Parks tokens late, as a process that was paused or a host that comes back. */
async function parkLate(
  bench: Bench,
  vault: Awaited<ReturnType<Bench['open']>>['vault'],
  { key, minted }: Connected,
  of: { generation: number; fence: number },
) {
  const context = internalsOf(vault).open();
  const row = await bench.row(key);
  const attempt = await bench.judge.db
    .selectFrom('grantry_attempts')
    .select('id')
    .where('fence', '=', of.fence)
    .executeTakeFirst();
  const late = {
    lease: { tenant: key.tenant, grantId: row.id, owner: 'host:1:late', ...of },
    attemptId: attempt?.id ?? row.id,
    candidateId: null,
    provider: row.provider,
    spentToken: new Secret(minted.refreshToken),
    spentFingerprint: 'of-the-token-that-was-spent',
    tenantKeys: await context.keys.pin(key.tenant, { fresh: true }),
    facts: factsOf(row),
  };
  const refreshToken = new Secret('a-token-that-came-late');
  return parkTokens(context, late, { refreshTokens: [refreshToken], accessToken: null });
}
