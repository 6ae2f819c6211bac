/** A server that stops: what it holds must not make others wait, and what it has begun must end well. */
import { expect, test } from 'vitest';
import { databaseKinds, makeBench } from '../../test/support/bench.ts';
import { makeServerBench } from '../../test/support/server-bench.ts';
import { internalsOf } from '../vault/internals.ts';

const tokenPath = '/v1/tenants/acme/grants/strict/token';

test.each(databaseKinds)('a lease under which nothing was sent is given back at once, on %s', async (kind) => {
  await using bench = await makeBench({ kind });
  const stopping = await bench.open();
  const other = await bench.open();
  const { key } = await bench.connect(stopping.vault);
  stopping.world.freezeBeforeSend();
  const asked = stopping.vault.getAccessToken(key).then(
    () => 'a token',
    (error: unknown) => Reflect.get(Object(error), 'code'),
  );
  await expect.poll(async () => (await bench.row(key)).lease_owner).not.toBeNull();
  const leaseUntil = (await bench.row(key)).lease_until ?? 0;
  internalsOf(stopping.vault).windDown();
  stopping.world.thaw();
  expect(await asked).toBe('provider_unavailable');
  expect((await bench.row(key)).lease_owner).toBeNull();
  // The strict lease would have lasted two minutes. No caller waits for its end.
  const { generation } = await other.vault.getAccessToken(key);
  expect(generation).toBe(2);
  expect(bench.clock.now()).toBeLessThan(leaseUntil);
  expect(bench.requests().length).toBe(1);
});

test('a request that waits for a provider is answered, and the others are turned away', async () => {
  await using server = await makeServerBench();
  const { simulator } = server.bench;
  const { key } = await server.bench.connect(server.vault);
  simulator.faults.add({ endpoint: 'token', effect: { kind: 'delay', ms: 800, when: 'after' } });
  const asked = server.call('GET', tokenPath);
  await expect.poll(() => server.bench.requests().length).toBe(1);
  const stopped = server.stop();
  const answer = await asked;
  expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close']);
  await stopped;
  await expect(server.call('GET', '/livez')).rejects.toThrow('fetch failed');
  const row = await server.bench.row(key);
  expect([row.generation, row.lease_owner, row.state]).toEqual([2, null, 'active']);
});

test('a connection that is open may still ask, hears that the server stops, and is closed then', async () => {
  await using server = await makeServerBench({ server: { stopDelayMs: 1_500 } });
  expect((await server.call('GET', '/readyz')).status).toBe(200);
  const stopped = server.stop();
  const ready = await server.call('GET', '/readyz');
  expect([ready.status, ready.headers.get('connection')]).toEqual([503, 'close']);
  expect((await server.call('GET', '/livez')).status).toBe(200);
  await stopped;
  await expect(server.call('GET', '/livez')).rejects.toThrow('fetch failed');
});

test('a server saves the last uses of keys before it ends', async () => {
  await using server = await makeServerBench();
  await server.call('GET', '/v1/apps', { key: 'operator' });
  await server.stop();
  const used = await server.bench.judge.db.selectFrom('grantry_api_keys').select('last_used_at').execute();
  expect(used.map(({ last_used_at }) => last_used_at)).not.toContain(null);
});
