/** Tests that refused requests reach the audit log, and that no stranger can fill it. */
import { expect, it } from 'vitest';
import { makeServerBench } from '../../test/support/server-bench.ts';
import { auditPageSchema } from '../schemas/audit.ts';
import { Refusals } from '../vault/audit/refusals.ts';
import { internalsOf } from '../vault/internals.ts';

it('a wrong key, a wrong role and another tenant are told', async () => {
  await using server = await makeServerBench();
  const made = await server.vault.keys.create('narrow', { role: 'caller', tenants: ['acme'] });
  const { id } = made.apiKey;
  const caller = made.key.reveal();
  await server.call('GET', '/v1/apps', { key: `gry_${'A'.repeat(43)}00000000` });
  await server.call('GET', '/v1/tenants/acme/grants/strict/token', { key: caller });
  await server.call('GET', '/v1/tenants/globex/grants/strict/token', { key: caller });
  await server.call('GET', '/v1/tenants/globex/grants/strict', { key: caller });
  await expect
    .poll(async () => {
      const { body } = await server.call('GET', '/v1/audit?action=request.refused', { key: 'admin' });
      return auditPageSchema.parse(body).items.map(({ actor, code, tenant }) => [actor.id, code, tenant]);
    })
    .toEqual(
      expect.arrayContaining([
        ['unknown', 'unauthorized', null],
        [id, 'forbidden', 'acme'],
        [id, 'forbidden', 'globex'],
      ]),
    );
});

it('strangers fill neither memory nor log, and a key only a little of it', async () => {
  await using server = await makeServerBench();
  const context = internalsOf(server.vault).open();
  const refusals = new Refusals();
  const now = context.world.now();
  for (let at = 0; at < 5_000; at += 1) {
    const about = { method: 'GET', route: `/v1/${at}`, code: 'forbidden', tenant: `t${at}` };
    refusals.add({ ...about, key: null, address: `192.0.2.${at}`, code: 'unauthorized' }, now);
    refusals.add({ ...about, key: 'one', address: '192.0.2.1' }, now);
  }
  await refusals.write(context);
  const { items } = await server.vault.audit.list({ action: 'request.refused', limit: 500 });
  const byKey = items.filter(({ actor }) => actor.id === 'one');
  expect([byKey.length, items.length]).toEqual([20, 21]);
  expect(items.find(({ actor }) => actor.id === 'unknown')).toMatchObject({ count: 5_000, source: 'http' });
  const others = items.map(({ details }) => Number(details?.['others_not_told'] ?? 0));
  expect(others.reduce((sum, each) => sum + each, 0)).toBe(4_980);
});

it.each(['x'.repeat(8_000), '-', 'ä', '%00'])('what is no name of a tenant is not told: %#', async (tenant) => {
  await using server = await makeServerBench({ kind: 'postgres' });
  const caller = (await server.vault.keys.create('narrow', { role: 'caller', tenants: ['acme'] })).key.reveal();
  const { status } = await server.call('GET', `/v1/tenants/${encodeURIComponent(tenant)}/grants/x/token`, {
    key: caller,
  });
  expect(status).toBeGreaterThanOrEqual(400);
  await expect
    .poll(async () => {
      const { items } = await server.vault.audit.list({ action: 'request.refused' });
      return items.map((each) => each.tenant);
    })
    .toSatisfy((told: unknown[]) => told.every((each) => each === null));
  expect((await server.vault.audit.verify()).finding).toBeNull();
});
