import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { listen, recordingServer } from '../../test/support/recording-server.ts';
import { GrantryError } from '../base/errors.ts';
import { limits } from '../base/limits.ts';
import { NotSentError } from '../base/network/outbound-errors.ts';
import { Secret } from '../base/secret.ts';
import { systemWorld } from '../base/system-world.ts';
import { type ProviderDefinitionInput, providerDefinition } from '../providers/definition.ts';
import { readTokenAnswer, salvageTokens } from './answer.ts';
import { AnswerLostError, sendExchange, sendRefresh } from './requests.ts';
import type { OAuthClient } from './types.ts';

const world = systemWorld({ allowLoopback: true });
const canary = 'canary-91c2';
function clientFor(
  origin: string,
  more: Partial<ProviderDefinitionInput> = {},
  client: Partial<OAuthClient> = {},
): OAuthClient {
  const definition = providerDefinition.parse({
    id: 'example',
    endpoints: { token: `${origin}/token` },
    api: { hosts: ['https://api.example'] },
    ...more,
  });
  return { definition, dc: null, clientId: 'client', clientSecret: new Secret('secret'), ...client };
}

const refreshToken = new Secret(canary);
function ok(response: http.ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ access_token: 'at', token_type: 'Bearer', expires_in: 60, refresh_token: 'rt2' }));
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection');
}

describe('what goes over the wire', () => {
  it('a refresh: everything in the form body, nothing in the query', async () => {
    const { origin, seen } = await recordingServer(ok);
    const client = clientFor(origin, { refreshParameters: { audience: 'a' }, scopeSeparator: ',' });
    const order: string[] = [];
    const beforeSend = (): void => {
      order.push(`asked after ${seen.length} requests`);
    };
    const raw = await sendRefresh(world, client, { refreshToken, scopes: ['a', 'b'], beforeSend });
    expect(order).toEqual(['asked after 0 requests']);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ url: '/token', method: 'POST' });
    expect(Object.fromEntries(seen[0]?.form ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: canary,
      client_id: 'client',
      client_secret: 'secret',
      scope: 'a,b',
      audience: 'a',
    });
    const outcome = readTokenAnswer(client.definition, raw, 'refresh');
    expect(outcome).toMatchObject({ kind: 'tokens', tokens: { expiresAt: raw.requestedAt + 60_000, scopes: null } });
  });

  it('an exchange, with and without redirect URI and verifier', async () => {
    const { origin, seen } = await recordingServer(ok);
    const code = new Secret('code');
    await sendExchange(world, clientFor(origin), {
      code,
      redirectUri: 'http://l/cb?x=1',
      codeVerifier: new Secret('v'),
    });
    await sendExchange(world, clientFor(origin), { code, redirectUri: null, codeVerifier: null });
    const client = { grant_type: 'authorization_code', code: 'code', client_id: 'client', client_secret: 'secret' };
    expect(seen.map((entry) => Object.fromEntries(entry.form))).toEqual([
      { ...client, redirect_uri: 'http://l/cb?x=1', code_verifier: 'v' },
      client,
    ]);
  });

  it('C-20 HTTP Basic form-encodes both parts and sends no second proof', async () => {
    const { origin, seen } = await recordingServer(ok);
    const more = { clientAuthentication: 'client_secret_basic' } as const;
    const client = clientFor(origin, more, { clientId: 'a:b+c%', clientSecret: new Secret('p:w +%é') });
    await sendRefresh(world, client, { refreshToken });
    const basic = Buffer.from(seen[0]?.headers.authorization?.slice('Basic '.length) ?? '', 'base64').toString(
      'latin1',
    );
    expect(basic.split(':')).toEqual(['a%3Ab%2Bc%25', 'p%3Aw+%2B%25%C3%A9']);
    expect(seen[0]?.form.has('client_secret')).toBe(false);
    expect(seen[0]?.form.has('client_id')).toBe(false);
  });

  it('a public client only sends its id', async () => {
    const { origin, seen } = await recordingServer(ok);
    const client = clientFor(origin, { clientAuthentication: 'none' }, { clientSecret: null });
    await sendRefresh(world, client, { refreshToken });
    expect(Object.fromEntries(seen[0]?.form ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: canary,
      client_id: 'client',
    });
    expect(seen[0]?.headers.authorization).toBeUndefined();
  });

  it.each([
    ['rsa', 'RS256', undefined],
    ['ec', 'ES256', 'https://as.example'],
    ['ed25519', 'Ed25519', 'https://as.example'],
  ] as const)('C-21 private_key_jwt with %s: one audience, the issuer if there is one', async (kind, alg, issuer) => {
    const { origin, seen } = await recordingServer(ok);
    const { privateKey, publicKey } = keyPair(kind);
    const more: Partial<ProviderDefinitionInput> = { clientAuthentication: 'private_key_jwt' };
    if (issuer !== undefined) more.issuer = issuer;
    const client = clientFor(origin, more, { clientSecret: new Secret(privateKey) });
    const scripted = { ...world, now: () => 1_700_000_000_500 };
    await sendRefresh(scripted, client, { refreshToken });
    await sendRefresh(scripted, client, { refreshToken });
    const [head = '', claims = '', signature = ''] = seen[0]?.form.get('client_assertion')?.split('.') ?? [];
    expect(decode(head)).toEqual({ alg });
    expect(decode(claims)).toMatchObject({
      aud: issuer ?? `${origin}/token`,
      iss: 'client',
      sub: 'client',
      iat: 1_700_000_000,
      exp: 1_700_000_060,
    });
    const key = { key: createPublicKey(publicKey), dsaEncoding: 'ieee-p1363' as const };
    const hash = kind === 'ed25519' ? null : 'sha256';
    expect(verify(hash, Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(seen[0]?.form.has('client_secret')).toBe(false);
    expect(seen[1]?.form.get('client_assertion')).not.toBe(seen[0]?.form.get('client_assertion'));
  });
});

describe('what comes back', () => {
  it('a body that breaks off is kept, marked and salvaged', async () => {
    const { origin } = await recordingServer((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write(`{"access_token":"at2","refresh_token":"rt2","scope":"a b`);
      setTimeout(() => response.destroy(), 20);
    });
    const client = clientFor(origin);
    const raw = await sendRefresh(world, client, { refreshToken });
    expect(raw).toMatchObject({ status: 200, incomplete: true });
    expect(readTokenAnswer(client.definition, raw, 'refresh')).toMatchObject({ kind: 'unknown' });
    expect(salvageTokens(raw)?.refreshTokens.map((each) => each.reveal())).toEqual(['rt2']);
  });

  it('a gzip bomb is read up to the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    const { origin } = await recordingServer((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb);
    });
    const raw = await sendRefresh(world, clientFor(origin), { refreshToken });
    expect(raw.incomplete).toBe(true);
    expect(raw.body?.reveal()).toHaveLength(limits.answerBytesMax);
  });

  it('a body that does not decompress is incomplete', async () => {
    const { origin } = await recordingServer((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip at all');
    });
    const raw = await sendRefresh(world, clientFor(origin), { refreshToken });
    expect(raw).toMatchObject({ incomplete: true, status: 200 });
  });

  it.each(['utf16le', 'utf16be', 'utf8'])('%s is understood', async (encoding) => {
    const text = `\uFEFF{"access_token":"at"}`;
    const bytes = Buffer.from(text, encoding === 'utf8' ? 'utf8' : 'utf16le');
    const { origin } = await recordingServer((response) => {
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(encoding === 'utf16be' ? bytes.swap16() : bytes);
    });
    const client = clientFor(origin);
    const raw = await sendRefresh(world, client, { refreshToken });
    expect(readTokenAnswer(client.definition, raw, 'refresh').kind).toBe('tokens');
  });

  it.each([301, 302, 303, 307, 308])('C-22 a redirect (%i) is not followed and not understood', async (status) => {
    const other = await recordingServer(ok);
    const { origin, seen } = await recordingServer((response) => {
      response.writeHead(status, { location: `${other.origin}/token` }).end();
    });
    const client = clientFor(origin);
    const raw = await sendRefresh(world, client, { refreshToken });
    expect(readTokenAnswer(client.definition, raw, 'refresh')).toMatchObject({
      kind: 'refused',
      class: 'not_understood',
    });
    expect(seen).toHaveLength(1);
    expect(other.seen).toHaveLength(0);
  });
});

describe('what fails', () => {
  it('refused port: not sent', async () => {
    const gone = http.createServer();
    const origin = await listen(gone);
    gone.close();
    await once(gone, 'close');
    expect(await failure(sendRefresh(world, clientFor(origin), { refreshToken }))).toBeInstanceOf(NotSentError);
  });

  it('no answer within the signal: lost', async () => {
    const { origin, seen } = await recordingServer(() => {});
    const error = await failure(
      sendRefresh(world, clientFor(origin), { refreshToken, signal: AbortSignal.timeout(150) }),
    );
    expect(error).toBeInstanceOf(AnswerLostError);
    expect(seen).toHaveLength(1);
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
  });

  it('reset after reading: lost', async () => {
    const origin = await listen(net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
    const error = await failure(sendRefresh(world, clientFor(origin), { refreshToken }));
    expect(error).toBeInstanceOf(AnswerLostError);
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
  });

  it('stopped by beforeSend: not sent', async () => {
    const { origin, seen } = await recordingServer(ok);
    const late = new GrantryError('internal', 'the lease is gone');
    const beforeSend = (): void => {
      throw late;
    };
    const error = await failure(sendRefresh(world, clientFor(origin), { refreshToken, beforeSend }));
    expect(error).toMatchObject({ name: 'NotSentError', cause: late });
    expect(seen).toHaveLength(0);
  });

  it.each([
    ['no secret', {}, { clientSecret: null }],
    ['no private key', { clientAuthentication: 'private_key_jwt' }, { clientSecret: new Secret(canary) }],
    ['no host for the data centre', { endpoints: { token: '{dc.accounts}/t' }, dataCenters: { eu: {} } }, { dc: 'eu' }],
  ] as const)('%s: the app is misconfigured and nothing is sent', async (_name, more, client) => {
    const { origin, seen } = await recordingServer(ok);
    const error = await failure(sendRefresh(world, clientFor(origin, more, client), { refreshToken }));
    expect(error).toMatchObject({ code: 'provider_misconfigured' });
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
    expect(seen).toHaveLength(0);
  });
});

function keyPair(kind: 'rsa' | 'ec' | 'ed25519'): { privateKey: string; publicKey: string } {
  const pair =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : kind === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519');
  return {
    privateKey: String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    publicKey: String(pair.publicKey.export({ type: 'spki', format: 'pem' })),
  };
}

function decode(part: string): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
}
