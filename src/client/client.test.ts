import { expect, it } from 'vitest';
import { TestWorld } from '../../test/support/world.ts';
import type { World } from '../base/world.ts';
import { createClient, isGrantryError } from './index.ts';

const key = { tenant: 'acme', provider: 'strict' };

/** A client of a server that gives one answer to everything, and the requests that it got. */
function clientOf(answer: () => Response) {
  const sent: string[] = [];
  const world: World = Object.create(TestWorld.prototype);
  world.fetch = async (url, { method }) => {
    sent.push(`${method} ${url}`);
    return answer();
  };
  return { sent, vault: createClient({ url: 'https://grants.example/base/', apiKey: 'gry_key', world }) };
}

it.each(['grants.example', 'ftp://grants.example', 'http://grants.example', 'https://grants.example?x=1', ''])(
  'refuses the URL %j, to which a key would travel in the clear or not at all',
  (url) => {
    expect(() => createClient({ url, apiKey: 'gry_key' })).toThrow('must be https, or http on a loopback address');
  },
);

it('does not take a wrong address for a tenant that never connected', async () => {
  const problem = {
    type: 'x',
    title: 'x',
    status: 404,
    detail: 'There is no such route.',
    code: 'not_found',
    action: 'x',
  };
  const { vault } = clientOf(() => Response.json(problem, { status: 404 }));
  await expect(vault.grants.get(key)).rejects.toMatchObject({ code: 'not_found' });
});

it.each([
  [{ retry_after: 7 }, { retryable: true, retryAfterMs: 7_000 }],
  [{}, { retryable: false }],
])('repeats what the server says of another try: %o', async (wait, told) => {
  const problem = { type: 'x', title: 'x', status: 503, detail: 'The egress proxy refused.', action: 'x', ...wait };
  const { vault } = clientOf(() => Response.json({ ...problem, code: 'provider_unavailable' }, { status: 503 }));
  await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'provider_unavailable', ...told });
});

it('refuses an empty key', () => {
  expect(() => createClient({ url: 'https://grants.example', apiKey: '' })).toThrow('API key is missing');
});

it('keeps the path of the server', async () => {
  const { sent, vault } = clientOf(() => Response.json({ status: 'alive' }));
  await vault.checkAlive();
  expect(sent).toEqual(['GET https://grants.example/base/livez']);
});

it.each(['/.\t./.\t./.\n./.\n./v1/keys', '/..\t/..\t/..\t/..\t/v1/keys', '/ ../x', '/a\u0000b', '/a\\b'])(
  'refuses the path %j, which a URL parser would change',
  async (path) => {
    const { sent, vault } = clientOf(() => Response.json({}, { headers: { 'grantry-generation': '1' } }));
    await expect(vault.fetch(key, path)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(sent).toEqual([]);
  },
);

it('asks the server to leave the token alive, and passes the refusal of an older one on', async () => {
  const problem = {
    type: 'x',
    title: 'x',
    status: 400,
    detail: 'Unknown field.',
    code: 'invalid_request',
    action: 'x',
  };
  const { sent, vault } = clientOf(() => Response.json(problem, { status: 400 }));
  await expect(vault.disconnect(key, { revoke: false })).rejects.toMatchObject({ code: 'invalid_request' });
  expect(sent).toEqual([
    'DELETE https://grants.example/base/v1/tenants/acme/grants/strict?account=default&revoke=false',
  ]);
});

it('tells an answer that is no Grantry server’s, and repeats none of it', async () => {
  for (const answer of [
    () => new Response('<html>secret</html>'),
    () => Response.json({ other: 'secret' }),
    () => new Response('secret', { status: 502 }),
  ]) {
    const error = await clientOf(answer)
      .vault.getAccessToken(key)
      .catch((thrown: unknown) => thrown);
    expect(isGrantryError(error, 'provider_error')).toBe(true);
    expect(String(error)).not.toContain('secret');
  }
});

it('names the line that called in the trace of an error', async () => {
  const { vault } = clientOf(() => new Response('no server', { status: 404 }));
  const theCaller = async (call: () => Promise<unknown>): Promise<unknown> => {
    await call();
    return undefined;
  };
  const calls = [
    () => vault.getAccessToken(key),
    () => vault.fetch(key, '/me'),
    () => vault.grants.list(),
    () => vault.apps.get('unknown'),
    () => vault.disconnect(key),
    () => vault.keys.list(),
  ];
  const failed = await Promise.all(calls.map((call) => theCaller(call).catch((error: unknown) => error)));
  const traces = failed.map((error) => (isGrantryError(error) ? error.stack : ''));
  expect(traces.map((trace) => trace?.includes('theCaller'))).toEqual(calls.map(() => true));
});

it('refuses an id that JavaScript rounded, and sends nothing', async () => {
  const { sent, vault } = clientOf(() => new Response());
  const metadata = { org_id: Number('170876000005062005') };
  for (const change of [vault.updateMetadata(key, metadata), vault.storeTokens(key, { refreshToken: 'r', metadata })]) {
    await expect(change).rejects.toMatchObject({ code: 'invalid_request', action: 'Give the number as text.' });
  }
  expect(sent).toEqual([]);
});
