/** One server of the benchmark in its own process: Grantry, or a bare one for comparison. */
import { once } from 'node:events';
import http from 'node:http';
import { pipeline } from 'node:stream';
import { Client } from 'pg';
import { Agent, request as undiciRequest } from 'undici';
import { openVault } from '../../src/index.ts';
import { startServer } from '../../src/server/index.ts';
import { internalsOf } from '../../src/vault/internals.ts';
import { crowd } from './crowd.ts';

export type ServerOrder =
  | {
      readonly role: 'grantry';
      readonly home: string;
      readonly database: string;
      readonly api: string;
      /** `none` takes the log out, for comparison. */
      readonly audit?: 'batched' | 'strict' | 'none';
    }
  | { readonly role: 'bare'; readonly headers: Record<string, string>; readonly body: string }
  | { readonly role: 'pass'; readonly api: string }
  | { readonly role: 'api' };

/** Delay of the hanging provider. */
const hangMs = 40_000;

export interface Started {
  readonly port: number;
  /** A key that reads tokens and uses the proxy. */
  readonly key: string;
}

export interface Usage {
  readonly cpuMs: number;
  readonly rssMb: number;
  /** Number of statements sent to PostgreSQL. */
  readonly queries: number;
}

// Ends as a program does, so that its profile is written.
process.on('SIGTERM', () => process.exit(0));

let queries = 0;
const query: unknown = Reflect.get(Client.prototype, 'query');
if (typeof query !== 'function') throw new Error('the driver has no query to count');
// Counts the statements and changes nothing.
Reflect.set(
  Client.prototype,
  'query',
  new Proxy(query, {
    apply: (plain, client, input) => {
      queries += 1;
      return Reflect.apply(plain, client, input);
    },
  }),
);

process.on('message', (message: ServerOrder | 'usage') => {
  if (message === 'usage') process.send?.(usage());
  else void start(message).then((started) => process.send?.(started));
});

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1_000, rssMb: process.memoryUsage.rss() / 1_048_576, queries };
}

async function start(order: ServerOrder): Promise<Started> {
  switch (order.role) {
    case 'grantry':
      return startGrantry(order);
    case 'bare':
      return listen(
        http.createServer((_request, response) => {
          response.writeHead(200, order.headers);
          response.end(order.body);
        }),
      );
    case 'pass':
      return listen(passThrough(order.api));
    case 'api':
      return listen(api());
    default:
      throw new Error('there is no such server');
  }
}

async function startGrantry({
  home,
  database,
  api: origin,
  audit = 'batched',
}: Extract<ServerOrder, { role: 'grantry' }>): Promise<Started> {
  const definition = {
    id: 'bench',
    endpoints: { token: `${origin}/token` },
    refreshToken: { rotation: 'none' as const },
    api: { hosts: [origin] },
  };
  const hanging = { ...definition, id: 'hanging', endpoints: { token: `${origin}/hang` } };
  const vault = await openVault({
    home,
    database,
    rootKey: `file:${home}/root.key`,
    providers: [definition, hanging],
    unsafeAllowLoopbackProviders: 'the API of the bench is on this machine',
    auditHandOuts: audit === 'strict' ? 'strict' : 'batched',
  });
  if (audit === 'none') Reflect.set(internalsOf(vault).open(), 'audit', undefined);
  const server = await startServer({
    open: () => Promise.resolve(vault),
    port: 0,
    limits: { tenantRequestsPerSecond: 1e9, tenantBurst: 1e9 },
  });
  await vault.apps.put('bench', { provider: 'bench', clientId: 'client', clientSecret: 'a-client-secret' });
  await vault.storeTokens(
    { tenant: 'acme', provider: 'bench' },
    {
      app: 'bench',
      refreshToken: 'refresh-token',
      accessToken: `1000.${'a'.repeat(64)}`,
      expiresIn: 36_000,
      scopes: ['read'],
    },
  );
  await vault.apps.put('hanging', { provider: 'hanging', clientId: 'client', clientSecret: 'a-client-secret' });
  const tenants = ['acme'];
  for (const [name, app, count] of [
    ['hanging', 'hanging', crowd.hanging],
    ['fresh', 'bench', crowd.fresh],
  ] as const) {
    for (let index = 0; index < count; index += 1) {
      const tenant = `${name}-${index}`;
      tenants.push(tenant);
      await vault.storeTokens({ tenant, provider: app }, { app, refreshToken: `refresh-token-of-${tenant}` });
    }
  }
  const { key } = await vault.keys.create('bench', { role: 'reader', tenants });
  return { port: Number(new URL(server.url).port), key: key.reveal() };
}

/** Starts a minimal pass-through on undici: it checks nothing and inserts nothing. */
function passThrough(origin: string): http.Server {
  const dispatcher = new Agent();
  return http.createServer((incoming, response) => {
    const { host: _host, connection: _connection, ...headers } = incoming.headers;
    const method = incoming.method === 'POST' ? 'POST' : 'GET';
    undiciRequest(`${origin}${incoming.url}`, {
      dispatcher,
      method,
      headers,
      body: method === 'POST' ? incoming : null,
    }).then(
      (answer) => {
        const { connection: _c, 'keep-alive': _k, 'transfer-encoding': _t, ...back } = answer.headers;
        response.writeHead(answer.statusCode, back);
        pipeline(answer.body, response, () => {});
        return undefined;
      },
      () => response.destroy(),
    );
  });
}

/**
 * Starts an API: `/small` answers as an API does; `/large?N` sends N MiB; `/token` and, after a long delay, `/hang`
 * return tokens. Any other POST body is discarded.
 */
function api(): http.Server {
  const small = JSON.stringify({ data: [{ id: '1', Last_Name: 'x'.repeat(900) }] });
  const chunk = Buffer.alloc(1_048_576, 'x');
  return http.createServer((request, response) => {
    if (request.method === 'POST') {
      let bytes = 0;
      request.on('data', (part: Buffer) => (bytes += part.length));
      request.on('end', () => {
        if (request.url === '/token') giveTokens(response);
        else if (request.url === '/hang') setTimeout(() => giveTokens(response), hangMs);
        else response.end(String(bytes));
      });
      return;
    }
    const mebibytes = Number(/large\?(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    if (mebibytes === 0) {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(small) })
        .end(small);
      return;
    }
    response.writeHead(200, { 'content-length': mebibytes * chunk.length });
    let sent = 0;
    const more = (): void => {
      while (sent < mebibytes) {
        sent += 1;
        if (!response.write(chunk)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
}

function giveTokens(response: http.ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ access_token: `1000.${'b'.repeat(64)}`, token_type: 'Bearer', expires_in: 3_600 }));
}

async function listen(server: http.Server): Promise<Started> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, key: '' };
}
