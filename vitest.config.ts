import { rmSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { makeMemoryTmp } from './test/support/memory-tmp.ts';

// Here, so that the run's PostgreSQL and every process of a test inherit it.
const memoryTmp = makeMemoryTmp();
if (memoryTmp !== undefined) {
  process.env['TMPDIR'] = memoryTmp;
  process.once('exit', () => rmSync(memoryTmp, { recursive: true, force: true }));
}

/** Long enough for a machine with ten times too much to do: it ends a test that hangs, and never one that is slow. */
const patienceMs = 10 * 60_000;

/**
 * Two rings, told apart by the file's name: `npm test` runs `*.test.ts`, `npm run test:long` runs `*.long.test.ts`. No test
 * is tried twice: a race that shows once is a defect.
 */
export default defineConfig({
  test: {
    testTimeout: patienceMs,
    hookTimeout: patienceMs,
    expect: { poll: { timeout: patienceMs / 5, interval: 20 } },
    maxWorkers: 2,
    // Each test makes vaults; the announcement has tests of its own.
    execArgv: ['--disable-warning=GRANTRY_NEW_VAULT'],
    globalSetup: ['test/support/global-setup.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['{src,test,lab,scripts}/**/*.test.ts'],
          exclude: ['**/*.long.test.ts'],
          // The files of a worker share what they import, as in a program. Loading it anew costs a third of the ring.
          isolate: false,
        },
      },
      { extends: true, test: { name: 'long', include: ['{src,test,lab,bench/expiry}/**/*.long.test.ts'] } },
    ],
  },
});
