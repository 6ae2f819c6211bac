/** A link whose tokens waited for a completion code replaces a grant as any other consent does. */
import { expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import type { Vault } from '../types.ts';
import { completeConnectSessionOf } from './completion.ts';
import { receiveConnectCallback, startConnect } from './flow.ts';
import { createConnectSession } from './sessions.ts';

const publicUrl = 'https://grantry.example';
const returnTo = 'https://app.example/back';
const key = { tenant: 'acme', provider: 'none' };

async function connect(bench: Bench, vault: Vault): Promise<void> {
  const context = internalsOf(vault).open();
  const { id, url } = await createConnectSession(context, publicUrl, { ...key, scopes: ['read'], returnTo });
  const started = await startConnect(context, publicUrl, { token: url.split('/').at(-1) ?? '', browser: url });
  const response = await bench.simulator.fetch(
    new Request('url' in started ? started.url : '', { redirect: 'manual' }),
  );
  const { pathname, search } = new URL(response.headers.get('location') ?? '');
  const came = { context: pathname.split('/').at(-1) ?? '', search, browser: url };
  const outcome = await receiveConnectCallback(context, publicUrl, came);
  const completionCode = 'completionCode' in outcome ? outcome.completionCode : '';
  expect(await completeConnectSessionOf(context, id, { completionCode })).toMatchObject({ state: 'active' });
}

it('revokes the token that it replaces, at a provider that keeps few', async () => {
  const change = (definition: Bench['providers'][number]) => ({
    ...definition,
    refreshToken: { ...definition.refreshToken, livePerUserAndClient: 4 },
  });
  await using bench = await makeBench({ profiles: ['none'], change });
  const { vault } = await bench.open();
  const { clientId, secret } = demoClient;
  await vault.apps.put('none', { provider: 'none', clientId, clientSecret: secret ?? '', returnTo: [returnTo] });
  await connect(bench, vault);
  await connect(bench, vault);
  expect(bench.simulator.families().map(({ alive }) => alive)).toEqual([false, true]);
});
