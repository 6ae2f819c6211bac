import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeServerBench } from '../../test/support/server-bench.ts';

it('the description is the one in test/snapshots (to renew it: vitest run src/server/openapi.test.ts -u)', async () => {
  await using server = await makeServerBench({ server: { publicUrl: 'https://grants.example', version: '0' } });
  const { status, body, text } = await server.call('GET', '/openapi.json', { key: null });
  expect(status).toBe(200);
  expect(text).not.toContain('$defs');
  const references = [...text.matchAll(/"#\/components\/(\w+)\/(\w+)"/g)];
  const components: unknown = JSON.parse(text).components;
  for (const [, kind = '', name = ''] of references) expect(components).toHaveProperty([kind, name]);
  expect(Object.keys(body.paths).length).toBeGreaterThan(10);
  const file = join(import.meta.dirname, '../../test/snapshots/openapi.json');
  await expect(`${JSON.stringify(JSON.parse(text), null, 2)}\n`).toMatchFileSnapshot(file);
});

it('every described route that takes a key refuses a request without a key and one with an unknown key', async () => {
  await using server = await makeServerBench();
  const { body } = await server.call('GET', '/openapi.json', { key: null });
  const tried: string[] = [];
  for (const [path, methods] of Object.entries(body.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!('x-grantry-action' in operation)) continue;
      const filled = path.replaceAll(/\{\w+\}/g, 'strict');
      for (const key of [null, `gry_${'A'.repeat(43)}00000000`, 'nonsense']) {
        const answer = await server.call(method.toUpperCase(), filled, { key });
        expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 401, 'unauthorized']);
        expect(answer.headers.get('www-authenticate')).toContain('Bearer');
      }
      tried.push(`${method} ${path}`);
    }
  }
  expect(tried.length).toBeGreaterThan(20);
});
