/** The last file of the tests' process. All other tests are known by now. */
import { test } from 'vitest';
import { Hunt, say } from './hunt.ts';

test(
  'the hunt',
  async () => {
    const job = globalThis.grantryMutantsJob;
    const tests = globalThis.grantryTests;
    if (job === undefined || tests === undefined) throw new Error('runs only under worker/runner.ts');
    if (job.mode === 'measure') return say(job, { kind: 'end' });
    const hunt = new Hunt(
      job,
      async (name) => {
        const run = tests.get(name);
        if (run === undefined) throw new Error(`no test is called ${name}`);
        return run();
      },
      true,
    );
    await hunt.hunt();
  },
  2 ** 30,
);
