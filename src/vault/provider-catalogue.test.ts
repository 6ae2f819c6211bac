/** The definitions that a process has read, and when it looks again. */
import { expect, it } from 'vitest';
import { makeBench } from '../../test/support/bench.ts';

const definition = {
  id: 'later',
  endpoints: { token: 'https://later.example/token' },
  api: { hosts: ['https://later.example'] },
};

it('hears at once of a provider that another process adds, also after it was asked for', async () => {
  await using bench = await makeBench();
  const { vault: asking } = await bench.open();
  const { vault: adding } = await bench.open();
  expect(await asking.providers.get('later')).toBeNull();
  const app = { provider: 'later', clientId: 'c', clientSecret: 'a-client-secret' };
  await expect(asking.apps.put('later', app)).rejects.toMatchObject({ reason: 'unknown_provider' });
  await adding.providers.put(definition);
  expect(await asking.providers.get('later')).toMatchObject({ id: 'later' });
  await asking.apps.put('later', app);
});
