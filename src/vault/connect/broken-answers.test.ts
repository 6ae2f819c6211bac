/** A broken answer to a code may hold a wrong token: until one of its tokens works, nothing that the grant had is dropped. */
import { expect, it } from 'vitest';
import { type Bench, codeOf, databaseKinds, makeBench } from '../../../test/support/bench.ts';

const redirectUri = 'https://app.example/callback';
const tenant = 'acme';

/** Consents, and changes the text of the provider's answer to the code. */
async function consent(
  bench: Bench,
  { vault, world }: Awaited<ReturnType<Bench['open']>>,
  provider: string,
  change: (text: string) => string,
): Promise<void> {
  await bench.addApp(vault, provider);
  const scopes = [provider === 'zoho_crm' ? 'ZohoCRM.org.READ' : 'read'];
  const { url } = await vault.authorize({ tenant, provider, redirectUri, scopes });
  const response = await bench.simulator.fetch(new Request(url, { redirect: 'manual' }));
  const real = world.fetch.bind(world);
  world.fetch = async (...input) => {
    const answer = await real(...input);
    return new Response(change(await answer.text()), answer);
  };
  await vault.completeAuthorization(response.headers.get('location') ?? '').finally(() => {
    world.fetch = real;
  });
}

it.each(['strict', 'timed_overlap', 'strict_revokes_family'])(
  'a broken answer to a code loses none of several refresh tokens, at %s',
  async (provider) => {
    await using bench = await makeBench({ profiles: [provider] });
    const opened = await bench.open();
    const { vault } = opened;
    // A second, foreign token stands where the likeliest one is looked for.
    await consent(bench, opened, provider, (text) => text.replace(/\}$/, ',"refresh_token":"of-something-else"}'));
    const grant = { tenant, provider };
    for (let tries = 0; tries < 6; tries += 1) {
      await vault.getAccessToken(grant).catch(() => null);
      await bench.jump(121_000);
    }
    if ((await bench.row(grant)).state !== 'active') await vault.recover(grant);
    expect((await vault.getAccessToken(grant)).accessToken).not.toBe('');
    expect(bench.simulator.families().map((family) => family.alive)).toEqual([true]);
  },
);

it.each(databaseKinds)('a broken answer to a code leaves the tokens before it to recover, on %s', async (kind) => {
  await using bench = await makeBench({ kind, profiles: ['zoho'] });
  const opened = await bench.open();
  const { vault } = opened;
  const { key } = await bench.connect(vault, { provider: 'zoho_crm', profile: 'zoho' });
  await vault.updateMetadata(key, { dc: 'us' });
  await consent(bench, opened, 'zoho_crm', () => '{"refresh_token":"of-something-else","expires_in":3600');
  expect(bench.simulator.families().filter(({ alive }) => alive)).toHaveLength(2);
  for (let tries = 0; tries < 4; tries += 1) {
    await codeOf(vault.getAccessToken(key));
    await bench.jump(121_000);
  }
  expect((await bench.row(key)).state).toBe('reauthorization_required');
  expect(await vault.recover(key)).toMatchObject({ outcome: 'recovered' });
  expect(await vault.getAccessToken(key)).toMatchObject({ dc: 'us' });
});
