/** The traces that changes and refused requests leave. */
import { expect, it } from 'vitest';
import { databaseKinds } from '../../test/support/bench.ts';
import { makeServerBench } from '../../test/support/server-bench.ts';

const definition = {
  endpoints: { authorization: 'https://as.example/a', token: 'https://as.example/t' },
  api: { hosts: ['https://api.example'] },
};

it.each(databaseKinds)('changes of apps, keys, providers and links are events without secrets, on %s', async (kind) => {
  await using server = await makeServerBench({ kind });
  let answers = '';
  const change = async (method: string, path: string, body?: unknown): Promise<void> => {
    const answer = await server.call(method, path, { key: 'admin', body });
    expect([path, answer.status < 300]).toEqual([path, true]);
    answers += answer.text;
  };
  await change('PUT', '/v1/providers/corp', definition);
  await change('PUT', '/v1/apps/crm', { provider: 'corp', client_id: 'c', client_secret: 'the-client-secret' });
  await change('POST', '/v1/connect-sessions', { tenant: 'acme', provider: 'corp' });
  await change('POST', '/v1/keys', { name: 'more', role: 'admin' });
  await change('PATCH', '/v1/keys/more', { expires_at: '2999-01-01T00:00:00Z' });
  await change('DELETE', '/v1/keys/more');
  await change('DELETE', '/v1/apps/crm');
  const { db } = server.bench.judge;
  const events = await db.selectFrom('grantry_events').select(['type', 'provider', 'details']).orderBy('id').execute();
  const wanted = [
    'provider.put',
    'app.put',
    'session.created',
    'key.created',
    'key.updated',
    'key.revoked',
    'app.removed',
  ];
  expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(wanted));
  const dump = JSON.stringify([events, await db.selectFrom('grantry_api_keys').selectAll().execute()]);
  for (const secret of [/gry_[\w-]{16,}/, /the-client-secret/]) expect(dump).not.toMatch(secret);
  expect(answers).toMatch(/gry_[\w-]{16,}/);
});

it('a refused key is counted with its route and status', async () => {
  await using server = await makeServerBench();
  await server.call('GET', '/v1/apps', { key: `gry_${'A'.repeat(43)}00000000` });
  const { text } = await server.call('GET', '/metrics', { key: 'admin' });
  expect(text).toContain('grantry_http_request_seconds_count{method="GET",route="/v1/apps",status="401"} 1');
});
