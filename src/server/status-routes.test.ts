import { expect, test } from 'vitest';
import { makeServerBench } from '../../test/support/server-bench.ts';
import { internalsOf } from '../vault/internals.ts';

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
