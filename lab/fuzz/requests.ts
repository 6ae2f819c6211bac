import type { Dice } from '../dice.ts';

/** A route of the API's description. */
export interface DescribedRoute {
  readonly method: string;
  readonly path: string;
  /** The body of its description. */
  readonly example?: unknown;
}

export interface RequestParts {
  readonly routes: readonly [DescribedRoute, ...DescribedRoute[]];
  readonly keys: readonly [string, ...string[]];
}

const names: readonly [string, ...string[]] = [
  'acme',
  'globex',
  'plain',
  'nobody',
  'default',
  '',
  '.',
  '..',
  '%2e%2e',
  '%00',
  '%',
  '%zz',
  '%c0%af',
  "'",
  '"',
  '<script>',
  '{tenant}',
  'a'.repeat(129),
  'Ä',
  '\u{1f600}',
  '-1',
  'null',
  'true',
  '__proto__',
  'constructor',
  '*',
  'a/b',
  'a%2Fb',
  ';',
  '$system',
];

const values: readonly [unknown, ...unknown[]] = [
  null,
  true,
  false,
  0,
  -1,
  1e308,
  2 ** 53,
  '',
  ' ',
  'acme',
  'plain',
  'x'.repeat(5_000),
  [],
  {},
  [[]],
  [null],
  { a: { b: {} } },
  '\0',
  '\ud800',
  "' or 1=1 --",
  '2026-01-01T00:00:00Z',
  'https://evil.example/',
  'http://127.0.0.1/',
  '-9999999999999999999',
  ['read'],
  ['read', 'read'],
  'admin',
  'reader',
];

const members: readonly [string, ...string[]] = [
  'tenant',
  'provider',
  'app',
  'account',
  'refresh_token',
  'access_token',
  'expires_in',
  'scope',
  'scopes',
  'metadata',
  'name',
  'role',
  'tenants',
  'providers',
  'client_id',
  'client_secret',
  'client_secrets',
  'redirect_uri',
  'return_to',
  'user',
  'completion_code',
  'rejected_generation',
  'min_validity',
  'id',
  'endpoints',
  'api',
  'issuer',
  '__proto__',
  'toString',
];

const queries: readonly [string, ...string[]] = [
  '',
  '',
  '?',
  '?account=default',
  '?account=',
  '?account=a&account=b',
  '?min_validity=60',
  '?min_validity=-1',
  '?min_validity=1e9',
  '?cursor=x',
  '?limit=0',
  '?limit=10',
  '?%00=%00',
  '?__proto__=1',
  '?state=active',
  '?updated_since=never',
  `?x=${'y'.repeat(500)}`,
];

const oddHeaders: readonly [string, ...string[]] = [
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Expect: 100-continue',
  'Upgrade: websocket',
  'Connection: upgrade',
  'Grantry-Account: ../x',
  'Grantry-Host: evil.example',
  'X-Forwarded-For: 127.0.0.1',
  'Cookie: a=b',
  'Accept-Encoding: gzip',
  'Content-Encoding: gzip',
  'Range: bytes=0-',
  'If-Match: *',
  'X-HTTP-Method-Override: DELETE',
  ': empty',
  'no colon at all',
  'Host: other',
  `X-Long: ${'z'.repeat(2_000)}`,
];

/** Creates the bytes of one request: mostly nearly valid HTTP, sometimes no HTTP at all. */
export function makeRequest(dice: Dice, { routes, keys }: RequestParts): Buffer {
  if (dice.chance(0.05)) return Buffer.from(Array.from({ length: dice.below(300) }, () => dice.below(256)));
  const route = dice.pick(routes);
  const method = dice.chance(0.9)
    ? route.method.toUpperCase()
    : dice.pick(['GET', 'PUT', 'PATCH', 'TRACE', 'get', 'NONSENSE', '']);
  const path = route.path.replaceAll(/\{\w+\}/g, () =>
    dice.chance(0.6) ? dice.pick(['acme', 'plain']) : dice.pick(names),
  );
  const headers = ['Host: localhost'];
  if (dice.chance(0.9)) headers.push(`Authorization: ${authorization(dice, keys)}`);
  while (dice.chance(0.15)) headers.push(dice.pick(oddHeaders));
  const body = dice.chance(0.5) ? makeBody(dice, route.example) : '';
  if (body !== '' || dice.chance(0.1)) {
    headers.push(
      `Content-Type: ${dice.pick(['application/json', 'application/json', 'application/x-ndjson', 'application/x-www-form-urlencoded', 'text/plain', ''])}`,
    );
    headers.push(`Content-Length: ${Buffer.byteLength(body) + (dice.chance(0.03) ? dice.below(9) - 4 : 0)}`);
  }
  const text = `${method} ${path}${dice.pick(queries)} HTTP/${dice.chance(0.98) ? '1.1' : '9.9'}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
  return garbled(dice, Buffer.from(text, 'utf8'));
}

function authorization(dice: Dice, keys: RequestParts['keys']): string {
  if (dice.chance(0.85)) return `Bearer ${dice.pick(keys)}`;
  return dice.pick([
    'Bearer',
    'Bearer gry_x',
    `Bearer gry_${'A'.repeat(51)}`,
    'Basic eDp5',
    'Basic ====',
    `Bearer ${'k'.repeat(600)}`,
    '\0',
  ]);
}

/** Characters that a database or a reader may take for something else: PostgreSQL refuses the first two. */
const oddTexts: readonly [string, ...string[]] = [
  '\0',
  '\ud800',
  '\udc00',
  '\u202e',
  '\ufeff',
  '\u2028',
  '\x7f',
  '\x9b',
  '\n',
  '\\u0000',
  '\u{10ffff}',
];

/** Changes one place of a good body: a text gets an odd character, a name another one, a value another type. */
function mutated(dice: Dice, value: unknown): unknown {
  if (typeof value === 'string' && dice.chance(0.7)) {
    const at = dice.below(value.length + 1);
    return value.slice(0, at) + dice.pick(oddTexts) + value.slice(at);
  }
  if (Array.isArray(value) && value.length > 0 && dice.chance(0.8)) {
    const at = dice.below(value.length);
    return value.map((item: unknown, index) => (index === at ? mutated(dice, item) : item));
  }
  if (typeof value === 'object' && value !== null && dice.chance(0.9)) {
    const entries = Object.entries(value);
    const at = dice.below(entries.length + 1);
    if (at === entries.length) return { ...value, [`${dice.pick(members)}${dice.pick(oddTexts)}`]: dice.pick(values) };
    return Object.fromEntries(entries.map(([name, item], index) => [name, index === at ? mutated(dice, item) : item]));
  }
  return dice.pick(values);
}

function makeBody(dice: Dice, example?: unknown): string {
  if (example !== undefined && dice.chance(0.5)) {
    return JSON.stringify(dice.chance(0.9) ? mutated(dice, example) : example);
  }
  if (dice.chance(0.15))
    return dice.pick([
      '{',
      '[]',
      'null',
      '"x"',
      '{"a":',
      '\u{feff}{}',
      '['.repeat(200),
      '{"a":1}{"a":2}',
      '\0',
      'grant_type=x&grant_type=y',
    ]);
  const body: Record<string, unknown> = {};
  for (let count = dice.below(6); count >= 0; count -= 1) body[dice.pick(members)] = dice.pick(values);
  return JSON.stringify(body);
}

function garbled(dice: Dice, bytes: Buffer): Buffer {
  if (!dice.chance(0.1) || bytes.length === 0) return bytes;
  for (let count = 1 + dice.below(4); count > 0; count -= 1) bytes[dice.below(bytes.length)] = dice.below(256);
  return dice.chance(0.3) ? bytes.subarray(0, dice.below(bytes.length)) : bytes;
}
