import { expect, test } from 'vitest';
import { makeBench } from '../../test/support/bench.ts';
import { makeServerBench } from '../../test/support/server-bench.ts';
import { outages, Wire } from '../../test/support/wire.ts';
import { internalsOf } from '../vault/internals.ts';
import { startServer } from './server.ts';

const tokenPath = '/v1/tenants/acme/grants/strict/token';

test('a quarantined database is not ready, and only operators get the reason', async () => {
  await using server = await makeServerBench();
  expect(await server.call('GET', '/readyz', { key: null })).toMatchObject({ status: 200, body: { status: 'ready' } });
  const quarantine = { quarantined_reason: 'it looks like a copy' };
  // The reader's key is known before the quarantine.
  await server.call('GET', '/v1/grants', { key: 'reader' });
  await server.call('GET', '/v1/grants', { key: 'operator' });
  await server.bench.judge.db.updateTable('grantry_instance').set(quarantine).execute();
  await internalsOf(server.vault).open().guard.recheck();
  await server.bench.jump(1_100);
  for (const key of [null, 'reader', 'gry_nobody']) {
    const { status, body } = await server.call('GET', '/readyz', { key });
    expect([status, body.code, body.detail]).toEqual([503, 'grant_quarantined', 'This server is not ready.']);
  }
  const { status, body } = await server.call('GET', '/readyz', { key: 'operator' });
  expect([status, body.code]).toEqual([503, 'grant_quarantined']);
  expect(body.detail).toContain('it looks like a copy');
  expect((await server.call('GET', '/livez', { key: null })).status).toBe(200);
});

test('no provider makes a server unready', async () => {
  await using server = await makeServerBench();
  await server.bench.connect(server.vault);
  server.world.offline = true;
  expect((await server.call('GET', tokenPath)).status).toBe(503);
  await server.bench.jump(1_100);
  expect((await server.call('GET', '/readyz', { key: null })).status).toBe(200);
});

test.each(outages)('a server is not ready within 2 s when its database goes away (%s)', async (outage) => {
  await using bench = await makeBench({ kind: 'postgres' });
  await using wire = await Wire.to(bench.database);
  const { vault, world } = await bench.open({ database: wire.database, providers: [] });
  await using server = await startServer({ open: async () => vault, port: 0, workers: false, world });
  const { key } = await vault.keys.create('operator', { role: 'operator' });
  const ready = async (): Promise<number> =>
    (await fetch(`${server.url}/readyz`, { headers: { authorization: `Bearer ${key.reveal()}` } })).status;
  expect(await ready()).toBe(200);
  await wire.lose(outage);
  for (let check = 0; check < 3; check += 1) {
    // Past the time for which an answer is shared, and past the trust in the key.
    bench.clock.jump(5_000);
    const startedAt = performance.now();
    expect(await ready()).toBe(503);
    // The driver's time-outs take 10 s; the rest is for a busy test machine.
    expect(performance.now() - startedAt).toBeLessThan(4_000);
  }
  wire.mend();
  await expect
    .poll(async () => {
      bench.clock.jump(2_000);
      return ready();
    })
    .toBe(200);
});
