import { describe, it } from 'vitest';
import { createClient } from '../../src/client/index.ts';
import { makeBench } from '../support/bench.ts';
import { makeServerBench } from '../support/server-bench.ts';
import { cases, type Setup } from './vault.ts';

const profiles = ['strict', 'none', 'zoho'];

const subjects: Readonly<Record<string, (run: (setup: Setup) => Promise<void>) => Promise<void>>> = {
  openVault: async (run) => {
    await using bench = await makeBench({ profiles });
    const { vault } = await bench.open();
    await run({ bench, vault, remote: false });
  },
  createClient: async (run) => {
    await using server = await makeServerBench({ profiles });
    await using vault = createClient({ url: server.url, apiKey: await server.keyOf('admin') });
    await run({ bench: server.bench, vault, remote: true });
  },
};

describe.each(Object.entries(subjects))('%s', (_name, over) => {
  describe.each(Object.entries(cases))('%s', (_method, options) => {
    it.each(Object.entries(options))('%s', (_title, run) => over(run));
  });
});
