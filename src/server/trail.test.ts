/** The trail of a key: each kind of change that a key can make, and each hand-out, names the key. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { user } from '../../test/support/bench.ts';
import { makeServerBench } from '../../test/support/server-bench.ts';
import { demoClient } from '../simulator/index.ts';
import { refusedAction } from '../vault/audit/place.ts';
import { otherChangeTypes } from '../vault/changing.ts';
import { vaultEventTypes } from '../vault/event-types.ts';

const definition = {
  endpoints: { authorization: 'https://as.example/a', token: 'https://as.example/t' },
  api: { hosts: ['https://api.example'] },
};

/** Kinds that the vault itself writes: no request of a key makes them. */
const notByRequest: ReadonlySet<string> = new Set([
  'audit.failed',
  'audit.key_created',
  'grant.connected',
  'grant.parked',
  'grant.reauthorization_required',
  'grant.revived',
  'grant.shredded',
  'grant.suspect',
  'grant.taken_over',
  'grant.uncertain',
  'session.failed',
  'slots.filling',
  'vault.adopted',
  'vault.quarantined',
]);

it('each change that a key can make, and each hand-out, names the key', async () => {
  await using server = await makeServerBench();
  await server.bench.addApp(server.vault, 'strict');
  const { apiKey, key: secret } = await server.vault.keys.create('thief', { role: 'admin' });
  const key = secret.reveal();
  const made: number[] = [];
  const change = async (method: string, path: string, body?: unknown): Promise<void> => {
    const { status } = await server.call(method, path, { key, body });
    made.push(status);
  };
  await change('PUT', '/v1/providers/corp', definition);
  await change('PUT', '/v1/apps/crm', { provider: 'corp', client_id: 'c', client_secret: 'the-client-secret' });
  await change('POST', '/v1/connect-sessions', { tenant: 'acme', provider: 'corp' });
  await change('POST', '/v1/keys', { name: 'more', role: 'admin' });
  await change('PATCH', '/v1/keys/more', { expires_at: '2999-01-01T00:00:00Z' });
  await change('DELETE', '/v1/keys/more');
  await change('DELETE', '/v1/apps/crm');
  await change('DELETE', '/v1/providers/corp');
  const about = { profile: 'strict', clientId: demoClient.clientId, user, scopes: ['read'] };
  const minted = server.bench.simulator.mintTokens(about);
  const grant = '/v1/tenants/acme/grants/strict';
  await change('PUT', grant, { app: 'strict', refresh_token: minted.refreshToken });
  await change('PATCH', grant, { metadata: { note: 'x' } });
  await change('GET', `${grant}/token`);
  await change('GET', '/v1/proxy/acme/strict/me');
  await change('DELETE', grant);
  expect(made.filter((status) => status >= 300)).toEqual([]);
  const { items } = await server.vault.audit.list({ actor: apiKey.id, limit: 500 });
  const told = new Set(items.map(({ action }) => action));
  const wanted = [...otherChangeTypes, ...vaultEventTypes].filter((kind) => !notByRequest.has(kind));
  for (const kind of [...wanted, 'token.handed_out', 'api.called'])
    expect([kind, told.has(kind)]).toEqual([kind, true]);
  expect(items.every(({ source }) => source.startsWith('http '))).toBe(true);
  expect(JSON.stringify(items)).not.toContain('the-client-secret');
});

it('the page of the audit log names every action', () => {
  const page = readFileSync('docs/audit.md', 'utf8');
  const own = ['token.handed_out', 'api.called', refusedAction, 'audit.entry_altered'];
  for (const action of [...otherChangeTypes, ...vaultEventTypes, ...own]) expect(page).toContain(`\`${action}\``);
});
