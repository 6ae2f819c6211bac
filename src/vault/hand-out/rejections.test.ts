/** An API that keeps refusing tokens costs one refresh, and the next report says what it said. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { makeUpstream, tokens } from '../../../test/support/upstream.ts';
import type { ProviderDefinitionInput } from '../../providers/definition.ts';

const key = { tenant: 'acme', provider: 'plain' };
const refusal = '{"code":"INVALID_TOKEN","message":"invalid oauth token"}';

/** A provider whose API refuses every token; `path` is that of its own health call. */
function refusing(path: string | undefined, body = refusal) {
  return makeUpstream({
    api: (_, response) => response.writeHead(401, { 'content-type': 'application/json' }).end(body),
    change: (definition) =>
      path === undefined ? definition : { ...definition, api: { ...definition.api, health: { path } } },
  });
}

/** Without a health call, only the caller can tell whether the API accepts a token. */
function withoutHealthCall(definition: ProviderDefinitionInput): ProviderDefinitionInput {
  const { health: _, ...api } = definition.api ?? {};
  return { ...definition, api };
}

it.each(['/org', undefined])(
  'replaces a token once, and then says that no refresh helps: health call %s',
  async (path) => {
    await using upstream = await refusing(path);
    const { vault } = upstream;
    expect(await vault.rejectAccessToken(key, 1)).toMatchObject({ generation: 2 });
    const told = path === undefined ? '' : ' (INVALID_TOKEN: invalid oauth token, status 401)';
    for (const _ of ['the first report of it', 'a later one']) {
      await expect(vault.rejectAccessToken(key, 2)).rejects.toMatchObject({
        code: 'provider_error',
        reason: 'token_rejected',
        message: `The API rejects a token that was just refreshed${told}.`,
        action: expect.stringContaining('data centre'),
        retryable: false,
        retryAfterMs: expect.any(Number),
      });
    }
    expect(upstream.refreshes).toBe(1);
    // A plain read, and a report of an older generation, still get the token.
    expect(await vault.getAccessToken(key)).toMatchObject({ accessToken: tokens.refreshed });
    expect(await vault.rejectAccessToken(key, 1)).toMatchObject({ generation: 2 });
  },
);

it('makes no refresh for a hundred reports at once', async () => {
  await using upstream = await refusing('/org');
  const { vault } = upstream;
  await vault.rejectAccessToken(key, 1);
  const reports = await Promise.allSettled(Array.from({ length: 100 }, () => vault.rejectAccessToken(key, 2)));
  expect(new Set(reports.map(({ status }) => status))).toEqual(new Set(['rejected']));
  expect(upstream.refreshes).toBe(1);
});

it('says so over HTTP, with the reason and without the token', async () => {
  await using upstream = await refusing('/org', JSON.stringify({ error: `the token ${tokens.refreshed} is bad` }));
  const { vault, url } = upstream;
  const { key: admin } = await vault.keys.create('all', { role: 'admin' });
  const report = (generation: number) =>
    fetch(`${url}/v1/tenants/acme/grants/plain/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.reveal()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ rejected_generation: generation }),
    });
  expect((await report(1)).status).toBe(200);
  const refused = await report(2);
  expect(refused.status).toBe(502);
  const problem = await refused.text();
  expect(JSON.parse(problem)).toMatchObject({ code: 'provider_error', reason: 'token_rejected' });
  expect(problem).not.toContain(tokens.refreshed);
});

it('gives the API’s own words to who calls through the vault', async () => {
  await using upstream = await refusing('/org');
  await upstream.vault.rejectAccessToken(key, 1);
  const answer = await upstream.vault.fetch(key, '/x');
  expect([answer.status, await answer.text()]).toEqual([401, refusal]);
  expect(await upstream.vault.health(key)).toMatchObject({
    reason: 'token_rejected',
    message: 'The API rejects a token that was just refreshed (INVALID_TOKEN: invalid oauth token, status 401).',
  });
  expect(upstream.refreshes).toBe(1);
});

it('refreshes again after ten minutes, and at once for a new consent', async () => {
  await using bench = await makeBench({ profiles: ['none'], change: withoutHealthCall });
  const { vault } = await bench.open();
  const { key: grant } = await bench.connect(vault, { provider: 'none' });
  const replaced = async (generation: number) => (await vault.rejectAccessToken(grant, generation)).generation;
  expect(await replaced(1)).toBe(2);
  const cause = { reason: 'token_rejected' };
  await expect(replaced(2)).rejects.toMatchObject(cause);
  await bench.jump(599_000);
  await expect(replaced(2)).rejects.toMatchObject(cause);
  await bench.jump(2_000);
  expect(await replaced(2)).toBe(3);
  await expect(replaced(3)).rejects.toMatchObject(cause);
  await vault.storeTokens(grant, { app: 'none', refreshToken: 'another', accessToken: 'new', expiresIn: 3_600 });
  await expect(replaced(4)).rejects.not.toMatchObject(cause);
});

it('costs at most one refresh per process', async () => {
  await using bench = await makeBench({ profiles: ['none'], change: withoutHealthCall });
  const { vault } = await bench.open();
  const { vault: other } = await bench.open();
  const { key: grant } = await bench.connect(vault, { provider: 'none' });
  expect((await vault.rejectAccessToken(grant, 1)).generation).toBe(2);
  expect((await other.rejectAccessToken(grant, 2)).generation).toBe(3);
  for (const each of [vault, other, vault, other]) {
    await expect(each.rejectAccessToken(grant, 3)).rejects.toMatchObject({ reason: 'token_rejected' });
  }
});
