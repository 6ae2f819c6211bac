/** A short run of grants that expire at the same moment. `npm run herd` runs ten thousand on both databases. */
import { expect, test } from 'vitest';
import { limits } from '../../src/base/limits.ts';
import { runHerd } from './herd.ts';

const grants = 200;

test('workers of several processes renew grants with one expiry by one request each, spread out', async () => {
  const result = await runHerd({
    grants,
    processes: 2,
    database: 'sqlite',
    spreadSeconds: 12,
    answerMs: 50,
    timeScale: 0.2,
  });
  expect(result).toMatchObject({ requests: grants, sentTwice: 0, neverSent: 0, renewed: grants, inTime: grants });
  expect(result.mostAtOncePerProcess).toBeLessThanOrEqual(limits.providerCallsMax);
  // Ten equal parts would be ideal; a busy machine misses some of them.
  expect(result.tenths.filter((requests) => requests > 0).length).toBeGreaterThanOrEqual(4);
});
