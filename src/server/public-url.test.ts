import { expect, test } from 'vitest';
import { makeServerBench } from '../../test/support/server-bench.ts';
import { checkPublicUrl, ownPublicUrl } from './public-url.ts';
import { startServer } from './server.ts';

function own(url: string): { url: string; warnings: string[] } {
  const warnings: string[] = [];
  const none = (): void => {};
  const logger = { debug: none, info: none, warn: (message: string) => void warnings.push(message), error: none };
  return { url: ownPublicUrl(url, logger), warnings };
}

test.each(['http://0.0.0.0:8484', 'http://[::]:8484', 'http://192.168.1.5:8484'])('%s is no public URL', (url) => {
  expect(own(url).url).toBe('http://127.0.0.1:8484');
  expect(own(url).warnings).toHaveLength(1);
  expect(() => checkPublicUrl(url)).toThrow('must be https');
});

test.each(['http://127.0.0.1:8484', 'http://[::1]:8484', 'http://localhost:1'])('%s is one', (url) => {
  expect(own(url)).toEqual({ url, warnings: [] });
  expect(checkPublicUrl(url)).toBe(url);
});

test('a server refuses a public URL that is of no use', async () => {
  await using server = await makeServerBench();
  const start = startServer({ open: async () => server.vault, port: 0, publicUrl: 'http://0.0.0.0:8484' });
  await expect(start).rejects.toMatchObject({ code: 'invalid_request' });
});
