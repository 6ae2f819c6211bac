import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sendBytes } from '../../../test/support/raw.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { isGrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { Strangers } from './strangers.ts';

let server: ServerBench;
beforeEach(async () => {
  server = await makeServerBench();
});
afterEach(() => server[Symbol.asyncDispose]());

const formType = 'Content-Type: application/x-www-form-urlencoded';
const link = `/connect/${'A'.repeat(43)}`;

function head(path: string, length: number, more: readonly string[] = []): string {
  return [`POST ${path} HTTP/1.1`, 'Host: localhost', formType, `Content-Length: ${length}`, ...more, '', ''].join(
    '\r\n',
  );
}

const send = (body: string) => sendBytes(server.url, `${head('/oauth2/token', Buffer.byteLength(body))}${body}`);

describe('a form of a stranger', () => {
  it.each([
    [8_192, 401],
    [8_193, 413],
    [262_144, 413],
  ])('of %i bytes is answered with %i', async (bytes, status) => {
    const answer = await send(`client_id=${'x'.repeat(bytes - 'client_id='.length)}`);
    // RFC 6749 has no status of its own for a large body.
    expect(answer.status).toBe(status === 413 ? 400 : status);
    if (status === 413) expect(answer.text).toContain('payload_too_large');
  });

  it('has at most 32 fields', async () => {
    const fields = (count: number) => Array.from({ length: count }, (_, at) => `f${at}=`).join('&');
    expect((await send(fields(32))).status).toBe(401);
    const refused = await send(fields(33));
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('more than 32 fields')]);
    // Names without a value count too, and a form that is only separators.
    expect((await send('&'.repeat(8_000))).text).toContain('more than 32 fields');
  });

  it('in pieces is cut off at its limit', async () => {
    const line = ['POST /oauth2/token HTTP/1.1', 'Host: localhost', formType, 'Transfer-Encoding: chunked', '', ''];
    const piece = `1000\r\n${'x'.repeat(4_096)}\r\n`;
    expect((await sendBytes(server.url, line.join('\r\n') + piece.repeat(3))).text).toContain('payload_too_large');
  });
});

describe('nothing of a body is waited for', () => {
  it('if the key of HTTP Basic is wrong', async () => {
    const basic = `Authorization: Basic ${Buffer.from('id:gry_wrong').toString('base64')}`;
    expect((await sendBytes(server.url, head('/oauth2/token', 8_000, [basic]))).status).toBe(401);
  });

  it.each([
    ['the link is unknown', link, [`Cookie: __Host-grantry_browser=${'b'.repeat(43)}`], 404],
    ['the browser is unknown', link, [], 403],
    [
      'the form is of another site',
      link,
      [`Cookie: __Host-grantry_browser=${'b'.repeat(43)}`, 'Sec-Fetch-Site: cross-site'],
      403,
    ],
    ['the link has no form of ours', '/connect/x', [], 404],
  ] as const)('if %s', async (_name, path, headers, status) => {
    const answer = await sendBytes(server.url, head(path, 8_000, headers));
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining('text/html')]);
  });
});

it('strangers hold a bounded number of unfinished forms, and free it when they go', async () => {
  const { hostname, port } = new URL(server.url);
  const sockets: net.Socket[] = [];
  for (let at = 0; at < limits.strangerFormsPerAddress; at += 1) {
    const socket = net.connect(Number(port), hostname).on('error', () => {});
    await once(socket, 'connect');
    socket.write(`${head('/oauth2/token', 100)}a=`);
    sockets.push(socket);
  }
  const statusOf = async (): Promise<number> => (await send('grant_type=x')).status;
  const until = async (status: number): Promise<void> => {
    while ((await statusOf()) !== status) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await until(503);
  // Who shows a key first is served.
  const { apiKey, key } = await server.vault.keys.create('tool', { role: 'reader', tenants: ['acme'] });
  const basic = `Authorization: Basic ${Buffer.from(`${apiKey.id}:${key.reveal()}`).toString('base64')}`;
  const served = await sendBytes(server.url, `${head('/oauth2/token', 12, [basic])}grant_type=x`);
  expect(served.text).toContain('unsupported_grant_type');
  for (const socket of sockets) socket.destroy();
  await until(401);
});

describe('look-ups of what a stranger claims', () => {
  it('are bounded, and others take the place of those that ended', async () => {
    const strangers = new Strangers();
    const { promise, resolve } = Promise.withResolvers<string>();
    const running = Array.from({ length: limits.strangerLookUpsAtOnce }, () => strangers.look(() => promise));
    const refused: unknown = await strangers.look(async () => 'one more').catch((error: unknown) => error);
    expect(isGrantryError(refused, 'rate_limited')).toBe(true);
    resolve('found');
    await Promise.all(running);
    expect(await strangers.look(async () => 'found')).toBe('found');
    await expect(strangers.look(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
    for (let at = 0; at < 100; at += 1) expect(await strangers.look(async () => at)).toBe(at);
  });
});
