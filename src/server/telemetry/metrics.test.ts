import { expect, test } from 'vitest';
import { user } from '../../../test/support/bench.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { Secret } from '../../base/secret.ts';
import { demoClient } from '../../simulator/index.ts';

const tokenPath = '/v1/tenants/acme/grants/strict/token';

/** The numbers of `/metrics` by their names and labels. */
async function numbers(server: ServerBench): Promise<ReadonlyMap<string, number>> {
  const { status, text, headers } = await server.call('GET', '/metrics', { key: 'operator' });
  expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('metrics count events, with templates for paths and without tenants or secrets', async () => {
  await using server = await makeServerBench();
  const { minted } = await server.bench.connect(server.vault);
  const { key } = await server.bench.connect(server.vault, { tenant: 'globex', expiresIn: 3_000 });
  await server.call('GET', tokenPath);
  await server.call('GET', tokenPath);
  await server.call('GET', `/v1/tenants/${key.tenant}/grants/strict/token`);
  await server.call('GET', '/v1/tenants/nobody/grants/strict/token');
  await server.call('GET', '/v1/apps/strict');
  await server.call('GET', '/wp-admin/secret-looking-path');
  const { text } = await server.call('GET', '/metrics', { key: 'admin' });
  for (const name of ['acme', 'globex', 'nobody', 'secret-looking', minted.refreshToken, minted.accessToken]) {
    expect(text).not.toContain(name);
  }
  const found = await numbers(server);
  const template = '/v1/tenants/{tenant}/grants/{provider}/token';
  const requests = (route: string, status: number) =>
    found.get(`grantry_http_request_seconds_count{method="GET",route="${route}",status="${status}"}`);
  expect(requests(template, 200)).toBe(3);
  expect(requests(template, 404)).toBe(1);
  expect(requests('/v1/apps/{app}', 200)).toBe(1);
  expect(requests('none', 404)).toBe(1);
  expect(requests('/metrics', 200)).toBe(1);
  expect(found.get('grantry_hand_outs_total{source="refresh"}')).toBe(1);
  expect(found.get('grantry_hand_outs_total{source="memory"}')).toBeGreaterThanOrEqual(1);
  expect(found.get('grantry_hand_outs_total{source="row"}')).toBeGreaterThanOrEqual(1);
  expect(found.get('grantry_refreshes_total{provider="strict",outcome="saved"}')).toBe(1);
  expect(found.get('grantry_provider_request_seconds_count{provider="strict",dc="",outcome="answered_2xx"}')).toBe(1);
  expect(found.get('grantry_token_life_seconds_count{provider="strict"}')).toBeGreaterThanOrEqual(2);
  expect(found.get('grantry_breaker_open{provider="strict",dc=""}')).toBe(0);
  expect(found.get('grantry_database_up')).toBe(1);
  expect(found.get('grantry_quarantined')).toBe(0);
  expect(found.get('grantry_spool_files{kind="answer"}')).toBe(0);
  expect(found.get('grantry_spool_files{kind="saved"}')).toBe(1);
});

test('queues are counted at most every ten seconds', async () => {
  await using server = await makeServerBench({ profiles: ['strict'] });
  await server.bench.connect(server.vault, { expiresIn: 3_600 });
  expect((await numbers(server)).get('grantry_due_grants')).toBe(0);
  await server.bench.jump(4_000_000);
  const due = await numbers(server);
  expect(due.get('grantry_due_grants')).toBe(1);
  expect(due.get('grantry_due_seconds')).toBeGreaterThan(300);
  await server.vault.disconnect({ tenant: 'acme', provider: 'strict' });
  expect((await numbers(server)).get('grantry_due_grants')).toBe(1);
  await server.bench.jump(11_000);
  expect((await numbers(server)).get('grantry_due_grants')).toBe(0);
});

test('the limits of providers are told by provider: token requests, and users whose places run out', async () => {
  await using server = await makeServerBench({ profiles: ['zoho'] });
  const { bench, vault } = server;
  const { key } = await bench.connect(vault, { provider: 'zoho_crm', profile: 'zoho' });
  expect([...(await numbers(server)).keys()].filter((name) => name.includes('budget'))).toEqual([]);
  await vault.getAccessToken(key);
  for (let count = 1; count <= 15; count += 1) {
    const tokens = { refreshToken: `of-${count}`, metadata: { dc: 'us' } };
    await vault.storeTokens({ tenant: `t${count}`, provider: 'zoho_crm' }, tokens);
  }
  const code = bench.simulator.mintCode({ clientId: demoClient.clientId, user, scopes: ['ZohoCRM.org.READ'] });
  await vault.redeemCode({ tenant: 'last', provider: 'zoho_crm' }, { code: new Secret(code), dc: 'us' });
  await bench.jump(11_000);
  const found = await numbers(server);
  expect(found.get('grantry_token_budget_used_ratio{provider="zoho_crm"}')).toBe(0.1);
  expect(found.get('grantry_token_budget_spent{provider="zoho_crm"}')).toBe(0);
  expect(found.get('grantry_slots_filling{provider="zoho_crm"}')).toBe(1);
  await bench.jump(601_000);
  const later = await numbers(server);
  expect(later.get('grantry_token_budget_used_ratio{provider="zoho_crm"}')).toBe(0);
});

test('existing tenants are labels if metricsTenants is on', async () => {
  await using server = await makeServerBench({ server: { metricsTenants: true } });
  await server.bench.connect(server.vault);
  await server.call('GET', tokenPath);
  await server.call('GET', '/v1/tenants/nobody/grants/strict/token');
  const found = [...(await numbers(server)).keys()].join('\n');
  expect(found).toContain('grantry_refreshes_total{provider="strict",outcome="saved",tenant="acme"}');
  expect(found).toContain('status="200",tenant="acme"');
  expect(found).not.toContain('nobody');
});

test.each([
  [null, 401],
  ['reader', 403],
  ['caller', 403],
  ['operator', 200],
  ['admin', 200],
] as const)('a key of the role %s gets %i', async (key, status) => {
  await using server = await makeServerBench();
  expect((await server.call('GET', '/metrics', { key })).status).toBe(status);
});
