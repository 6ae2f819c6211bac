/** Files and folders of the spool that this process may not read: they hold only the grants whose answers they may hide. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, makeBench } from '../../../test/support/bench.ts';
import { filesIn, pretendFailover, refreshAndLose, refuse } from '../../../test/support/refusals.ts';
import { shardOf } from '../spool/names.ts';

const minute = 60_000;

describe('a part of the spool that cannot be read', () => {
  it('keeps a quarantine until it can be read', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const { key } = await bench.connect(vault);
    await refreshAndLose(bench, vault, key);
    const shard = join(bench.home, 'spool', shardOf((await bench.row(key)).id));
    renameSync(shard, `${shard}.away`);
    // Reading a file as a directory fails for every user.
    writeFileSync(shard, '');
    await bench.judge.db.updateTable('grantry_instance').set({ quarantined_reason: 'restored' }).execute();
    const { vault: restored } = await bench.open();
    await expect(restored.adopt()).rejects.toMatchObject({ message: expect.stringContaining(shard) });
    expect(restored.quarantine).not.toBeNull();
    rmSync(shard);
    renameSync(`${shard}.away`, shard);
    await restored.adopt();
    expect((await restored.getAccessToken(key)).generation).toBe(2);
    expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  });

  it('holds only the grants whose answers it may hide after a failover', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const { vault } = await bench.open();
    const tenants = ['acme', 'globex', 'initech', 'umbrella'];
    const grants = [];
    for (const tenant of tenants) grants.push((await bench.connect(vault, { tenant })).key);
    for (const key of grants) await refreshAndLose(bench, vault, key);
    const shards = await Promise.all(grants.map(async (key) => shardOf((await bench.row(key)).id)));
    const shard = join(bench.home, 'spool', shards[0] ?? '');
    rmSync(shard, { recursive: true });
    writeFileSync(shard, '');
    await bench.jump(120 * minute);
    const failover = pretendFailover(vault);
    for (const [index, key] of grants.entries()) {
      const isHeld = shards[index] === shards[0];
      if (isHeld) expect(await codeOf(vault.getAccessToken(key))).toBe('refresh_uncertain');
      else expect((await vault.getAccessToken(key)).generation).toBeGreaterThanOrEqual(2);
    }
    expect(failover.failedOver).toBe(false);
    expect(bench.simulator.history.duplicateSpends()).toEqual([]);
  });

  it('holds the grant whose answer it may hide, and no other', async () => {
    await using bench = await makeBench({ profiles: ['strict'] });
    const one = await bench.open();
    const { key, minted } = await bench.connect(one.vault);
    const { key: neighbour } = await bench.connect(one.vault, { tenant: 'globex' });
    await refuse(bench, 'save');
    await codeOf(one.vault.getAccessToken(key));
    const [name = ''] = filesIn(bench);
    const path = join(bench.home, 'spool', name.replace(/refused$/, 'answer'));
    rmSync(join(bench.home, 'spool', name));
    // Reading a directory as a file fails for every user.
    mkdirSync(path);
    await bench.judge.db
      .updateTable('oauth_tokens')
      .set({ reason: 'answer_lost' })
      .where('client_id', '=', 'acme')
      .execute();
    const { vault } = await bench.open();
    await bench.jump(121_000);
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({
      code: 'refresh_uncertain',
      message: expect.stringContaining(path),
    });
    expect((await vault.getAccessToken(neighbour)).generation).toBe(2);
    expect(bench.simulator.family(minted.family)?.alive).toBe(true);
    expect(bench.requests()).toHaveLength(2);
  });
});
