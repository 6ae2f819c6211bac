/** An answer of an API that rejects a token which cannot be replaced: what the error in its place tells through the proxy. */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { createClient } from '../../src/client/index.ts';
import { OAuthTokenService } from '../../src/index.ts';
import { makeUpstream } from '../support/upstream.ts';

it.each([
  ['its text', (response: ServerResponse) => response.end('no'), 'no'],
  ['its text, in pieces and compressed', (response: ServerResponse) => endInPieces(response, gzipSync('no')), 'no'],
  [
    'no token that it repeats',
    (response: ServerResponse) => response.end('{"bad":"opaque-token"}'),
    { bad: '[not shown]' },
  ],
  ['nothing of a long one', (response: ServerResponse) => response.end('x'.repeat(1_000_000)), null],
  ['nothing of one that breaks off', (response: ServerResponse) => breakOff(response), null],
] as const)('the error in place of an answer of the API has %s', async (what, end, data) => {
  await using upstream = await makeUpstream({
    api: (_, response) =>
      end(response.writeHead(401, what.includes('compressed') ? { 'content-encoding': 'gzip' } : {})),
  });
  const { vault } = upstream;
  await vault.apps.put('another', { provider: 'plain', clientId: 'other', clientSecret: 'another-secret' });
  const stored = { accessToken: 'opaque-token', refreshToken: 'r', expiresIn: 3_600 };
  await new OAuthTokenService(vault).storeTokens('initech', 'plain', stored);
  const { key: caller } = await vault.keys.create('narrow', { role: 'caller', tenants: ['initech'] });
  const client = createClient({ url: upstream.url, apiKey: caller.reveal() });
  const failed = client.fetch({ tenant: 'initech', provider: 'plain' }, '/x');
  await expect(failed).rejects.toMatchObject({
    reason: 'ambiguous_app',
    retryable: false,
    response: { status: 401, data },
  });
});

function endInPieces(response: ServerResponse, bytes: Buffer): void {
  response.write(bytes.subarray(0, 5));
  setImmediate(() => response.end(bytes.subarray(5)));
}

function breakOff(response: ServerResponse): void {
  response.write('the first part');
  setTimeout(() => response.destroy(), 50);
}
