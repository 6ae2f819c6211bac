import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { makeServerBench } from '../../test/support/server-bench.ts';

const page = readFileSync('docs/server.md', 'utf8');

test('every request that docs/server.md shows is one that the server takes', async () => {
  await using server = await makeServerBench();
  const requests = [...page.matchAll(/^ *```http\n([\s\S]*?)^ *```/gm)]
    .flatMap((match) => [...(match[1] ?? '').matchAll(/^ *(PUT|POST) (\S+)\n *(\{.*\})$/gm)])
    .map(([, method = '', path = '', body = '']) => ({ method, path, body }));
  expect(requests.length).toBeGreaterThan(3);
  for (const { method, path, body } of requests) {
    const said: unknown = JSON.parse(body);
    const { status, text } = await server.call(method, path, { key: 'admin', body: said });
    expect(status, `${method} ${path}: ${text}`).toBe(201);
  }
});
