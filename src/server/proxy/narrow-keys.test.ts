/** Keys that are held to methods and paths, over real sockets: what reaches the API is what the key may call. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sendBytes } from '../../../test/support/raw.ts';
import { makeUpstream, type Upstream } from '../../../test/support/upstream.ts';

let upstream: Upstream;
let key: string;
const seen: string[] = [];

beforeAll(async () => {
  upstream = await makeUpstream({
    api: (request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end('ok');
    },
  });
  const limits = { methods: ['GET' as const, 'POST' as const], paths: ['/crm/**'] };
  const made = await upstream.vault.keys.create('narrow', { role: 'caller', tenants: ['acme'], ...limits });
  key = made.key.reveal();
});

afterAll(() => upstream?.[Symbol.asyncDispose]());

/** Sends a request line as it is: clients tidy paths up. */
async function send(method: string, path: string, headers: readonly string[] = []): Promise<number> {
  const lines = [`${method} /v1/proxy/acme/plain${path} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${key}`];
  const { status } = await sendBytes(
    upstream.url,
    `${[...lines, ...headers, 'Connection: close'].join('\r\n')}\r\n\r\n`,
  );
  return status;
}

it.each([
  ['GET', '/crm/v8/Leads?fields=Last_Name', []],
  ['POST', '/crm/v8/Leads', ['Content-Length: 0']],
  ['GET', '/crm/v8/a%20b', []],
  // What servers in front of this one add, and no API gets.
  ['GET', '/crm/v8/Leads', ['X-Forwarded-Uri: /x', 'X-Original-Forwarded-For: 192.0.2.1', 'X-Forwarded-Host: h']],
] as const)('%s %s reaches the API as it was sent', async (method, path, headers) => {
  seen.length = 0;
  expect(await send(method, path, headers)).toBe(200);
  expect(seen).toEqual([`${method} ${path}`]);
});

it.each([
  ['HEAD', '/crm/v8/Leads'],
  ['DELETE', '/crm/v8/Leads'],
  ['OPTIONS', '/crm/v8/Leads'],
  ['GET', '/books/v3/contacts'],
  ['GET', '/crm'],
  ['GET', '/CRM/v8/Leads'],
  ['GET', '/crm/%2e%2e/books'],
  ['GET', '/crm/../books'],
  ['GET', '/crm/./x'],
  ['GET', '/crm/..;/books'],
  ['GET', '/crm/x;y=1/z'],
  ['GET', '/crm//books'],
  ['GET', '//crm/x'],
  ['GET', '/crm/..%2fbooks'],
  ['GET', '/crm/%5c..%5cbooks'],
  ['GET', '/crm/%252e%252e/books'],
  ['GET', '/crm/x%00'],
  ['GET', '/%63rm/x'],
  ['GET', '/https://evil.example/crm/x'],
  ['GET', '/crm/x?_method=DELETE'],
] as const)('%s %s reaches no API', async (method, path) => {
  seen.length = 0;
  expect([403, 400]).toContain(await send(method, path));
  expect(seen).toEqual([]);
});

it.each([
  'X-HTTP-Method-Override: DELETE',
  'X-HTTP-Method: DELETE',
  'X-Method-Override: DELETE',
  'X_HTTP_Method_Override: DELETE',
  'X-Original-URL: /books',
  'X-Rewrite-URL: /books',
  'Grantry-Host: localhost',
])('a call with the header %s reaches no API', async (header) => {
  seen.length = 0;
  expect([403, 400]).toContain(await send('POST', '/crm/v8/Leads', ['Content-Length: 0', header]));
  expect(seen).toEqual([]);
});

it('a key without limits calls as before', async () => {
  seen.length = 0;
  expect((await upstream.call('/books;x=1/%41', { headers: { 'x-http-method-override': 'PUT' } })).status).toBe(200);
  expect(seen).toEqual(['GET /books;x=1/%41']);
});

it('the refusal says what the key may do, and not what the API has', async () => {
  const refused = await upstream.call('/books', { headers: { authorization: `Bearer ${key}` } });
  expect(await refused.json()).toMatchObject({
    status: 403,
    code: 'forbidden',
    detail: 'This API key may not call that path.',
    action: 'It may call /crm/**.',
  });
});
