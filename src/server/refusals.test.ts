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

it('strangers fill neither memory nor log', async () => {
  await using server = await makeServerBench();
  const context = internalsOf(server.vault).open();
  const refusals = new Refusals();
  for (let address = 0; address < 5_000; address += 1) {
    const acting = { actor: { kind: 'key' as const, id: 'unknown', name: null }, source: `http 192.0.2.${address}` };
    refusals.add({ acting, code: 'unauthorized', method: 'GET', route: '/v1/apps', tenant: null }, context.world.now());
  }
  await refusals.write(context);
  const { items } = await server.vault.audit.list({ action: 'request.refused', limit: 500 });
  expect(items).toHaveLength(100);
  expect(items[0]?.details).toMatchObject({ others_not_told: 4_900 });
});
