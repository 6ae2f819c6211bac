/** An API that keeps refusing tokens costs one refresh, and the next report says what it said. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { makeUpstream, tokens } from '../../../test/support/upstream.ts';

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

it('replaces a token once, and then says that no refresh helps', async () => {
  await using upstream = await refusing('/org');
  const { vault } = upstream;
  expect(await vault.rejectAccessToken(key, 1)).toMatchObject({ generation: 2 });
  const told = ' (INVALID_TOKEN: invalid oauth token, status 401)';
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
});

it('believes the caller where the API cannot be asked', async () => {
  await using upstream = await refusing(undefined);
  const { vault } = upstream;
  expect(await vault.rejectAccessToken(key, 1)).toMatchObject({ generation: 2 });
  expect(await vault.rejectAccessToken(key, 2)).toMatchObject({ generation: 3 });
});

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

it('refreshes again after a minute, and at once for a new consent', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault } = await bench.open();
  const { key: grant } = await bench.connect(vault, { provider: 'none', expiresIn: 3_600 });
  bench.simulator.faults.add({ endpoint: 'api', times: 999, effect: { kind: 'status', status: 401, when: 'before' } });
  const replaced = async (generation: number) => (await vault.rejectAccessToken(grant, generation)).generation;
  expect(await replaced(1)).toBe(2);
  const cause = { reason: 'token_rejected' };
  await expect(replaced(2)).rejects.toMatchObject(cause);
  await bench.jump(59_000);
  await expect(replaced(2)).rejects.toMatchObject(cause);
  await bench.jump(2_000);
  expect(await replaced(2)).toBe(3);
  await expect(replaced(3)).rejects.toMatchObject(cause);
  await vault.storeTokens(grant, { app: 'none', refreshToken: 'another', accessToken: 'new', expiresIn: 3_600 });
  await expect(replaced(4)).rejects.not.toMatchObject(cause);
});
