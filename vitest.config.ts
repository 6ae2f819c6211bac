import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{src,test,lab}/**/*.test.ts', 'bench/expiry/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // Real processes and servers share a machine with others there: what fails once is said, what fails twice fails the run.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    globalSetup: ['test/support/global-setup.ts'],
  },
});
