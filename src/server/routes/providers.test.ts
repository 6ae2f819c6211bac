import { expect, it } from 'vitest';
import { makeServerBench } from '../../../test/support/server-bench.ts';

it('an operator cannot move a provider at which there is a grant, though there is no app', async () => {
  await using server = await makeServerBench();
  const mine = { ...server.bench.simulator.definition('strict'), id: 'mine', name: 'Mine' };
  const put = (key: string, definition: object) => server.call('PUT', '/v1/providers/mine', { key, body: definition });
  expect((await put('operator', mine)).status).toBe(201);
  const moved = { ...mine, endpoints: { ...mine.endpoints, token: `${mine.endpoints?.token}-elsewhere` } };
  expect((await put('operator', moved)).status).toBe(200);
  expect((await put('operator', mine)).status).toBe(200);
  await server.vault.apps.put('mine', { provider: 'mine', clientId: 'x', clientSecret: 'y' });
  await server.vault.storeTokens({ tenant: 'acme', provider: 'mine' }, { refreshToken: 'a-refresh-token' });
  // As a token manager leaves it that knows no apps.
  await server.bench.judge.db.updateTable('oauth_tokens').set({ app: null }).execute();
  await server.vault.apps.remove('mine');
  const refused = await put('operator', moved);
  expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
  // What is not a place may be changed as before.
  expect((await put('operator', { ...mine, name: 'Another name' })).status).toBe(200);
  expect((await put('admin', moved)).status).toBe(200);
});
