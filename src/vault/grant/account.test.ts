/** A consent meets a grant: the same account goes on, another one takes nothing over. */
import { describe, expect, it } from 'vitest';
import { type Bench, type Connected, codeOf, databaseKinds, makeBench, settled } from '../../../test/support/bench.ts';
import { isGrantryError } from '../../base/errors.ts';
import type { GrantKey } from '../../base/ids.ts';
import type { Vault } from '../types.ts';

const redirectUri = 'https://app.example/callback';
const withoutRefreshToken = ['refresh_token'];

/** Connects through a browser; the provider's answer is changed on its way. */
async function connect(
  bench: Bench,
  vault: Vault,
  key: GrantKey,
  { set = {}, remove = [] }: { set?: Record<string, unknown>; remove?: string[] } = {},
) {
  await bench.addApp(vault, key.provider);
  const { url } = await vault.authorize({ ...key, redirectUri, scopes: ['read'] });
  const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set, remove } });
  return vault.completeAuthorization(response.headers.get('location') ?? '');
}

const idToken = (sub: string) =>
  `e30.${Buffer.from(JSON.stringify({ iss: 'https://as.example', sub })).toString('base64url')}.x`;

async function ask(vault: Vault, key: GrantKey): Promise<string | number> {
  try {
    return (await vault.getAccessToken(key)).generation;
  } catch (error) {
    if (isGrantryError(error)) return error.code;
    throw error;
  }
}

/** A grant in doubt: the stored token is spent, and the working one waits as a candidate. */
async function inDoubt(bench: Bench, id: string): Promise<Connected & { vault: Vault }> {
  const world = bench.world();
  const { vault } = await bench.open({ world });
  const { key, minted } = await bench.connect(vault, { provider: id });
  bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'patch', set: { error: 'warming_up' } } });
  let sent = 0;
  world.onSend = () => {
    sent += 1;
    if (sent === 1) world.offline = true;
  };
  await ask(vault, key);
  world.offline = false;
  world.onSend = () => {};
  return { key, minted, vault };
}

describe.each(databaseKinds)('a consent without a refresh token, on %s', (kind) => {
  it.each(['strict', 'timed_overlap', 'strict_revokes_family'])('keeps candidates and doubts at %s', async (id) => {
    await using bench = await makeBench({ kind, profiles: [id] });
    const { vault, key } = await inDoubt(bench, id);
    const before = await bench.row(key);
    expect(before.state).toBe('uncertain');
    await connect(bench, vault, key, { remove: withoutRefreshToken });
    const after = await bench.row(key);
    const kept = [
      'state',
      'reason',
      'doubt_since',
      'retry_at',
      'overlap_until',
      'lease_fence',
      'authorized_generation',
    ] as const;
    for (const name of kept) expect([name, after[name]]).toEqual([name, before[name]]);
    const candidates = await bench.judge.db.selectFrom('grantry_candidates').select('state').execute();
    expect(candidates).toEqual([{ state: 'untested' }]);
    await bench.jump(3_700_000);
    await ask(vault, key);
    await bench.jump(130_000);
    await ask(vault, key);
    expect([(await bench.row(key)).state, typeof (await ask(vault, key))]).toEqual(['active', 'number']);
  });

  it('brings a new access token to an active grant, whose authorization goes on', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'strict' };
    await connect(bench, vault, key);
    const grant = await connect(bench, vault, key, { remove: withoutRefreshToken });
    expect([grant.generation, await bench.events(key)]).toEqual([2, ['connected', 'connected']]);
    expect((await bench.row(key)).authorized_generation).toBe(1);
    await bench.jump(3_700_000);
    expect(await ask(vault, key)).toBe(3);
  });

  it('is noticed by another process also after the clock was set back', async () => {
    await using bench = await makeBench({ kind });
    const [one, other] = [await bench.open(), await bench.open()];
    const key = { tenant: 'acme', provider: 'strict' };
    await connect(bench, one.vault, key);
    await connect(bench, one.vault, { ...key, tenant: 'later' });
    const pass = async () => {
      for (let look = 0; look < 8; look += 1) {
        await other.vault.getAccessToken(key);
        await bench.jump(500);
        await settled();
      }
    };
    await pass();
    for (const { world } of [one, other]) world.skewMs = -60_000;
    await pass();
    await connect(bench, one.vault, key, { remove: withoutRefreshToken });
    // A loaded machine may not poll at each look. The clock stays behind throughout.
    for (let look = 0; look < 10 && (await ask(other.vault, key)) !== 2; look += 1) await pass();
    expect(await ask(other.vault, key)).toBe(2);
  });

  it('leaves a grant that was given up in doubt, and its next refresh tells', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'strict' };
    await connect(bench, vault, key);
    const lie = () =>
      bench.simulator.faults.add({ endpoint: 'token', effect: { kind: 'error', error: 'invalid_grant' } });
    for (const ms of [3_700_000, 61_000]) {
      lie();
      await bench.jump(ms);
      await ask(vault, key);
    }
    expect((await bench.row(key)).state).toBe('reauthorization_required');
    expect(await connect(bench, vault, key, { remove: withoutRefreshToken })).toMatchObject({ state: 'suspect' });
    expect(typeof (await ask(vault, key))).toBe('number');
    await bench.jump(3_700_000);
    expect([typeof (await ask(vault, key)), (await bench.row(key)).state]).toEqual(['number', 'active']);
  });

  it.each([
    ['another subject', { id_token: idToken('alice') }, { id_token: idToken('mallory') }, 'id_token.sub'],
    ['another organisation', { team: { id: 'T1' } }, { team: { id: 'T2' } }, 'team.id'],
    ['a subject that was not told before', {}, { id_token: idToken('alice') }, 'only one of them'],
    ['no subject where one was told', { id_token: idToken('alice') }, {}, 'only one of them'],
  ])('is refused for %s', async (_name, first, second, said) => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'strict' };
    await connect(bench, vault, key, { set: first });
    const before = await bench.row(key);
    const refused = connect(bench, vault, key, { set: second, remove: withoutRefreshToken });
    const message = await refused.catch((error: unknown) =>
      isGrantryError(error, 'authorization_failed') ? error.message : error,
    );
    expect(message).toContain(said);
    expect(message).not.toMatch(/alice|mallory|T1|T2/);
    expect(await bench.row(key)).toEqual(before);
  });

  it('goes on for the same subject, and for providers that tell none', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    for (const [tenant, set] of [
      ['told', { id_token: idToken('alice') }],
      ['untold', {}],
    ] as const) {
      const key = { tenant, provider: 'strict' };
      await connect(bench, vault, key, { set });
      expect(await connect(bench, vault, key, { set, remove: withoutRefreshToken })).toMatchObject({ state: 'active' });
      expect(await connect(bench, vault, key, { set, remove: withoutRefreshToken })).toMatchObject({ generation: 3 });
    }
  });
});

describe.each(databaseKinds)('a consent of another account with a refresh token, on %s', (kind) => {
  const change = (definition: Bench['providers'][number]) => ({
    ...definition,
    capture: { token: { realm: 'realm_id', place: 'place' } },
  });

  it('replaces the grant, and no word about the former account stays', async () => {
    await using bench = await makeBench({ kind, change });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'strict' };
    await connect(bench, vault, key, { set: { realm: 'R1', place: 'north' } });
    await vault.updateMetadata(key, { org_id: '42', note: 'ours' });
    const same = await connect(bench, vault, key, { set: { realm: 'R1' } });
    expect(same.metadata).toEqual({ realm_id: 'R1', place: 'north', org_id: '42', note: 'ours' });
    const other = await connect(bench, vault, key, { set: { realm: 'R2' } });
    expect(other.metadata).toEqual({ realm_id: 'R2', note: 'ours' });
  });

  it('keeps what a person stored when the provider tells nothing', async () => {
    await using bench = await makeBench({ kind });
    const { vault } = await bench.open();
    const key = { tenant: 'acme', provider: 'strict' };
    await connect(bench, vault, key);
    await vault.updateMetadata(key, { org_id: '42' });
    expect((await connect(bench, vault, key)).metadata).toEqual({ org_id: '42' });
    expect(await codeOf(vault.recover({ ...key, tenant: 'none' }))).toBe('grant_not_found');
  });
});
