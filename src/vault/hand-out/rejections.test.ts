/** An API that keeps refusing tokens costs one refresh, and the next report says what it said. */
import { expect, it } from 'vitest';
import { makeBench } from '../../../test/support/bench.ts';
import { makeUpstream, tokens } from '../../../test/support/upstream.ts';
import type { Vault } from '../types.ts';

const key = { tenant: 'acme', provider: 'plain' };
const refusal = '{"code":"INVALID_TOKEN","message":"invalid oauth token"}';

/** Refreshes that reports of rejected tokens are worth within ten minutes. */
const worth = 5;

/** Reports each new token until no further refresh is worth it. */
async function wearOut(vault: Pick<Vault, 'rejectAccessToken'>): Promise<void> {
  for (let generation = 1; generation <= worth; generation += 1) {
    expect(await vault.rejectAccessToken(key, generation)).toMatchObject({ generation: generation + 1 });
  }
}

/** A provider whose API refuses every token; `path` is that of its own health call. */
function refusing(path: string | undefined, body = refusal) {
  return makeUpstream({
    api: (_, response) => response.writeHead(401, { 'content-type': 'application/json' }).end(body),
    change: (definition) =>
      path === undefined ? definition : { ...definition, api: { ...definition.api, health: { path } } },
  });
}

it('replaces a token some times, and then says that no refresh helps', async () => {
  await using upstream = await refusing('/org');
  const { vault } = upstream;
  await wearOut(vault);
  const told = ' (INVALID_TOKEN: invalid oauth token, status 401)';
  for (const _ of ['the first report of it', 'a later one']) {
    await expect(vault.rejectAccessToken(key, worth + 1)).rejects.toMatchObject({
      code: 'provider_error',
      reason: 'token_rejected',
      message: `The API rejects a token that was just refreshed${told}.`,
      action: expect.stringContaining('data centre'),
      retryable: false,
      retryAfterMs: expect.any(Number),
    });
  }
  expect(upstream.refreshes).toBe(worth);
  // A plain read, and a report of an older generation, still get the token.
  expect(await vault.getAccessToken(key)).toMatchObject({ generation: worth + 1 });
  expect(await vault.rejectAccessToken(key, 1)).toMatchObject({ generation: worth + 1 });
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
  await wearOut(vault);
  const reports = await Promise.allSettled(Array.from({ length: 100 }, () => vault.rejectAccessToken(key, worth + 1)));
  expect(new Set(reports.map(({ status }) => status))).toEqual(new Set(['rejected']));
  expect(upstream.refreshes).toBe(worth);
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
  for (let generation = 1; generation <= worth; generation += 1) expect((await report(generation)).status).toBe(200);
  const refused = await report(worth + 1);
  expect(refused.status).toBe(502);
  const problem = await refused.text();
  expect(JSON.parse(problem)).toMatchObject({ code: 'provider_error', reason: 'token_rejected' });
  expect(problem).not.toContain(tokens.refreshed);
});

it('gives the API’s own words to who calls through the vault', async () => {
  await using upstream = await refusing('/org');
  await wearOut(upstream.vault);
  const answer = await upstream.vault.fetch(key, '/x');
  expect([answer.status, await answer.text()]).toEqual([401, refusal]);
  expect(await upstream.vault.health(key)).toMatchObject({
    reason: 'token_rejected',
    message: 'The API rejects a token that was just refreshed (INVALID_TOKEN: invalid oauth token, status 401).',
  });
  expect(upstream.refreshes).toBe(worth);
});

it('refreshes again after ten minutes, and at once for a new consent', async () => {
  await using bench = await makeBench({ profiles: ['none'] });
  const { vault } = await bench.open();
  const { key: grant } = await bench.connect(vault, { provider: 'none', expiresIn: 3_600 });
  bench.simulator.faults.add({ endpoint: 'api', times: 999, effect: { kind: 'status', status: 401, when: 'before' } });
  const replaced = async (generation: number) => (await vault.rejectAccessToken(grant, generation)).generation;
  for (let generation = 1; generation <= worth; generation += 1)
    expect(await replaced(generation)).toBe(generation + 1);
  const cause = { reason: 'token_rejected' };
  await expect(replaced(worth + 1)).rejects.toMatchObject(cause);
  await bench.jump(590_000);
  await expect(replaced(worth + 1)).rejects.toMatchObject(cause);
  await bench.jump(12_000);
  expect(await replaced(worth + 1)).toBe(worth + 2);
  await vault.storeTokens(grant, { app: 'none', refreshToken: 'another', accessToken: 'new', expiresIn: 3_600 });
  await expect(replaced(worth + 3)).rejects.not.toMatchObject(cause);
});
