import { expect, it } from 'vitest';
import { makeServerBench } from '../../test/support/server-bench.ts';

it('a browser at the server’s address sees what is there, and a program is told that nothing is', async () => {
  await using server = await makeServerBench({
    server: { publicUrl: 'https://grants.example/vault', version: '1.2.3' },
  });
  const page = await server.call('GET', '/', { key: null, headers: { accept: 'text/html,*/*;q=0.8' } });
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  for (const part of ['1.2.3', 'href="/vault/openapi.json"', 'docs/server.md']) expect(page.text).toContain(part);
  for (const headers of [{ accept: 'application/json' }, { accept: '*/*' }]) {
    const answer = await server.call('GET', '/', { key: null, headers });
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
  }
});

it('an unknown member, and a parameter that is wrong, are named', async () => {
  await using server = await makeServerBench();
  await server.bench.connect(server.vault);
  const slip = await server.call('POST', '/v1/connect-sessions', {
    body: { tenant: 'acme', provider: 'strict', returnTo: 'https://app.example/' },
  });
  expect([slip.status, slip.body.detail]).toEqual([400, expect.stringContaining('returnTo')]);
  const path = '/v1/tenants/acme/grants/strict/token';
  for (const text of ['abc', '-1', '1e9', '']) {
    const wrong = await server.call('GET', `${path}?min_validity=${text}`);
    expect([text, wrong.status, wrong.body.detail]).toEqual([text, 400, expect.stringContaining('min_validity')]);
  }
  // What may be a secret in the wrong place is not repeated.
  const secret = await server.call('POST', path, { body: { rejected_generation: 1, gry_5S0xAbCdEfGhIjKlMn: 1 } });
  expect([secret.status, secret.body.detail]).toEqual([400, expect.not.stringContaining('5S0x')]);
  const letters = await server.call('POST', path, { body: { rejected_generation: 1, aKdjQweRTzUiOPasdfGH: 1 } });
  expect(letters.body.detail).not.toContain('aKdj');
});
