/** A link whose tokens waited for a completion code replaces a grant as any other consent does. */
import { expect, it } from 'vitest';
import { type Bench, makeBench } from '../../../test/support/bench.ts';
import { demoClient } from '../../simulator/index.ts';
import { internalsOf } from '../internals.ts';
import { completeConnectSessionOf } from './completion.ts';
import { receiveConnectCallback, startConnect } from './flow.ts';
import { createConnectSession } from './sessions.ts';

const publicUrl = 'https://grantry.example';
const returnTo = 'https://app.example/back';
const key = { tenant: 'acme', provider: 'none' };

/** Connects through a link, and changes the text of the provider's answer to the code. */
async function connect(
  bench: Bench,
  { vault, world }: Awaited<ReturnType<Bench['open']>>,
  change = (text: string) => text,
): Promise<void> {
  const context = internalsOf(vault).open();
  const { id, url } = await createConnectSession(context, publicUrl, { ...key, scopes: ['read'], returnTo });
  const started = await startConnect(context, publicUrl, { token: url.split('/').at(-1) ?? '', browser: url });
  const response = await bench.simulator.fetch(
    new Request('url' in started ? started.url : '', { redirect: 'manual' }),
  );
  const { pathname, search } = new URL(response.headers.get('location') ?? '');
  const came = { context: pathname.split('/').at(-1) ?? '', search, browser: url };
  const real = world.fetch.bind(world);
  world.fetch = async (...input) => {
    const answer = await real(...input);
    return new Response(change(await answer.text()), answer);
  };
  const outcome = await receiveConnectCallback(context, publicUrl, came);
  world.fetch = real;
  const completionCode = 'completionCode' in outcome ? outcome.completionCode : '';
  expect(await completeConnectSessionOf(context, id, { completionCode })).toMatchObject({ state: 'active' });
}

it.each([
  ['revokes the token that it replaces', (text: string) => text, [false, true]],
  // Salvage finds one token here, so no further one waits beside it.
  ['keeps the token before a broken answer', () => '{"refresh_token":"of-something-else","expires_in":', [true, true]],
])('at a provider that keeps few, it %s', async (_, change, alive) => {
  const few = (definition: Bench['providers'][number]) => ({
    ...definition,
    refreshToken: { ...definition.refreshToken, livePerUserAndClient: 4 },
  });
  await using bench = await makeBench({ profiles: ['none'], change: few });
  const opened = await bench.open();
  const { clientId, secret } = demoClient;
  await opened.vault.apps.put('none', { provider: 'none', clientId, clientSecret: secret ?? '', returnTo: [returnTo] });
  await connect(bench, opened);
  await connect(bench, opened, change);
  expect(bench.simulator.families().map((family) => family.alive)).toEqual(alive);
});
