import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openVault, type Vault } from '../../src/index.ts';
import { startServer } from '../../src/server/index.ts';
import { patient } from '../../test/support/patient-limits.ts';
import { Dice } from '../dice.ts';
import { type DescribedRoute, makeRequest } from './requests.ts';

export interface FuzzOptions {
  readonly count: number;
  readonly seed: number;
  /** The URL of an empty PostgreSQL database; SQLite if it is left out. */
  readonly database?: string;
  readonly onProgress?: (done: number) => void;
}

export interface FuzzReport {
  /** Count of answers per status; 0 is a connection that was closed without an answer. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly findings: readonly string[];
}

/** Secrets that no answer may ever contain. */
const canaries = { refresh: 'canary-refresh-5e1f', client: 'canary-client-secret-77aa', access: 'canary-access-31bd' };

/** Documented 5xx codes: a provider that cannot be reached, or that the fuzzed requests themselves set up wrongly. */
const documented = new Set([
  'provider_unavailable',
  'provider_misconfigured',
  'provider_error',
  'provider_throttled',
  'refresh_uncertain',
  'rate_limited',
]);

/** Sends mutated requests that all derive from the seed. */
export async function fuzz({ count, seed, database, onProgress }: FuzzOptions): Promise<FuzzReport> {
  const home = mkdtempSync(join(tmpdir(), 'grantry-fuzz-'));
  const defects: string[] = [];
  const statuses = new Map<number, number>();
  const findings: string[] = [];
  try {
    await using vault = await openVault({
      home,
      database: database ?? `sqlite:${home}/grantry.db`,
      rootKey: `file:${home}/root.key`,
    });
    const { admin, others } = await prepare(vault);
    const logger = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (message: string) => void defects.push(message),
    };
    await using server = await startServer({
      open: () => Promise.resolve(vault),
      port: 0,
      workers: false,
      logger,
      ...patient(),
    });
    const routes = await describedRoutes(server.url);
    const dice = new Dice(seed);
    for (let done = 0; done < count; done += 1) {
      const bytes = makeRequest(dice, { routes, keys: [admin, ...others] });
      const answer = await send(server.url, bytes);
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const finding = judge(status, answer);
      if (finding !== null && findings.length < 20)
        findings.push(`request ${done}: ${finding}: ${JSON.stringify(bytes.toString('latin1')).slice(0, 600)}`);
      if (done % 500 === 0) onProgress?.(done);
    }
    const alive = await fetch(`${server.url}/livez`);
    if (alive.status !== 200) findings.push('the server no longer says that it lives');
    if (defects.includes('a request met a defect')) findings.push('the log tells of a defect');
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  return { statuses, findings };
}

async function prepare(vault: Vault): Promise<{ admin: string; others: string[] }> {
  // A name that never resolves: a request to it fails before it is sent.
  const host = 'https://nobody.invalid';
  await vault.providers.put({
    id: 'plain',
    endpoints: { token: `${host}/token` },
    refreshToken: { rotation: 'none' },
    api: { hosts: [host] },
  });
  await vault.apps.put('plain', { provider: 'plain', clientId: 'client', clientSecret: canaries.client });
  const key = { tenant: 'acme', provider: 'plain' };
  await vault.storeTokens(key, {
    app: 'plain',
    refreshToken: canaries.refresh,
    accessToken: canaries.access,
    expiresIn: 1,
  });
  const made: string[] = [];
  for (const role of ['admin', 'operator', 'reader', 'caller', 'connector'] as const) {
    const listed = role !== 'admin' && role !== 'operator';
    made.push((await vault.keys.create(role, { role, ...(listed ? { tenants: ['acme'] } : {}) })).key.reveal());
  }
  const narrow = { role: 'caller', tenants: '*', methods: ['GET'], paths: ['/**'] } as const;
  made.push((await vault.keys.create('narrow', narrow)).key.reveal());
  const [admin = '', ...others] = made;
  return { admin, others };
}

async function describedRoutes(url: string): Promise<readonly [DescribedRoute, ...DescribedRoute[]]> {
  const document: unknown = await (await fetch(`${url}/openapi.json`)).json();
  // The server's own description; another test checks its form.
  const { paths } = document as { paths: Record<string, Record<string, Operation>> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, example: exampleOf(operation) })),
  );
  return [
    { method: 'get', path: '/connect/{token}' },
    { method: 'get', path: '/oauth/callback/{context}' },
    { method: 'get', path: '/metrics' },
    ...routes,
  ];
}

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> };
}

function exampleOf({ requestBody }: Operation): unknown {
  const [content] = Object.values(requestBody?.content ?? {});
  return content?.example;
}

function judge(status: number, answer: string): string | null {
  const leaked = Object.entries(canaries).find(([, canary]) => holds(answer, canary));
  if (leaked !== undefined) return `the ${leaked[0]} secret is in the answer`;
  if (status < 500) return null;
  const code = /"code":"(\w+)"/.exec(answer)?.[1] ?? /"error":"(\w+)"/.exec(answer)?.[1] ?? 'none';
  return documented.has(code) || code === 'temporarily_unavailable' ? null : `${status} ${code}`;
}

function holds(answer: string, canary: string): boolean {
  const base64 = Buffer.from(canary).toString('base64').slice(0, -4);
  return [canary, base64, Buffer.from(canary).toString('hex'), encodeURIComponent(canary)].some((form) =>
    answer.includes(form),
  );
}

/** A client that got an interim answer waits so long for more, and one that got nothing so much longer. */
const quietMs = 3_000;
const patienceMs = 30_000;

/** A client that has sent all says so only then: the server ends the connection at once, also if it still has to answer. */
const untilEndMs = 250;

/** One connection for each request: effects of a broken request on the next one are not tested here. */
function send(url: string, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
    let text = '';
    const ending = setTimeout(() => socket.end(), untilEndMs);
    const over = (): void => {
      clearTimeout(ending);
      socket.destroy();
      resolve(text);
    };
    // A server that is only slow has an answer to be judged.
    socket.setTimeout(quietMs, () => (text === '' ? socket.setTimeout(patienceMs, over) : over()));
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      if (/^HTTP\/1\.1 (?!1)\d{3}/.test(text) && isWhole(text)) over();
    });
    socket
      .on('error', over)
      .on('close', over)
      .on('connect', () => socket.write(bytes));
  });
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.NaN);
  return head >= 0 && text.length >= head + 4 + length;
}
