/** An upgrade and the way back, with two real builds, warm caches of compiled code, and a server that runs meanwhile. */
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scratchDatabase } from '../support/postgres.ts';
import { build, Machine, type Server } from './builds.ts';

/** Each build has messages of its own, of one length, in the main file and in one that is loaded later. */
const versions = {
  old: { number: '0.1.0', grant: 'has no grant at', app: 'There is no app' },
  new: { number: '0.1.1', grant: 'HAS NO GRANT AT', app: 'THERE IS NO APP' },
} as const;
type Version = keyof typeof versions;

let builds: Record<Version, string> = { old: '', new: '' };
let provider: HttpServer;
let origin = '';
let issued = 0;

beforeAll(async () => {
  const { old, new: next } = versions;
  builds = {
    old: await build([]),
    new: await build([
      { file: 'package.json', from: `"version": "${old.number}"`, to: `"version": "${next.number}"` },
      { file: 'src/vault/grant/refusals.ts', from: old.grant, to: next.grant },
      { file: 'src/server/routes/apps.ts', from: old.app, to: next.app },
      { file: 'src/cli/choose-app.ts', from: old.app, to: next.app },
    ]),
  };
  provider = createServer((request, response) => {
    request.resume();
    issued += 1;
    response.setHeader('content-type', 'application/json');
    const token = { access_token: `access-${issued}`, token_type: 'Bearer', expires_in: 3_600 };
    response.end(JSON.stringify(request.url === '/token' ? token : { ok: true }));
  }).listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const address = provider.address();
  origin = typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';
});

afterAll(() => {
  provider.close();
  for (const directory of Object.values(builds)) if (directory !== '') rmSync(directory, { recursive: true });
});

test.each(['sqlite', 'postgres'] as const)('0.1.0, the next version and back, on %s', async (kind) => {
  await using database = kind === 'postgres' ? await scratchDatabase() : null;
  const env = { GRANTRY_UNSAFE_ALLOW_LOOPBACK_PROVIDERS: '1' };
  await using machine = await Machine.make(database === null ? env : { ...env, GRANTRY_DATABASE: database.database });
  await machine.install(builds.old);
  const key = await setUp(machine);
  // Twice, so that the second run finds compiled code.
  for (const _ of [1, 2]) await useCommands(machine, 'old');
  for (const [from, to] of [
    ['old', 'new'],
    ['new', 'old'],
    ['old', 'new'],
  ] as const) {
    const server = await machine.serve();
    await machine.install(builds[to]);
    // The running server is the version that it was started as, and lacks none of its files.
    await useServer(server, key, from);
    await useCommands(machine, to);
    await useServer(server, key, from);
    expect(await server.stop()).toBe(0);
    expect(server.log()).not.toMatch(/"level":"error"|defect/);
  }
  // One file for each version.
  expect(readdirSync(join(machine.home, 'cache'))).toHaveLength(2);
});

/** Makes a vault with one grant, and returns an admin key. */
async function setUp(machine: Machine): Promise<string> {
  const definition = join(machine.home, 'example.json');
  const endpoints = { token: `${origin}/token`, authorization: `${origin}/authorize` };
  const body = { id: 'example', endpoints, refreshToken: { rotation: 'none' }, api: { hosts: [origin] } };
  writeFileSync(definition, JSON.stringify(body));
  const run = async (args: string[], stdin?: string): Promise<string> => {
    const { code, stdout, stderr } = await machine.run(args, stdin);
    expect([args[0], code, code === 0 ? '' : stderr]).toEqual([args[0], 0, '']);
    return stdout;
  };
  await run(['init']);
  await run(['provider', 'add', definition]);
  const app = ['app', 'add', 'one', '--provider', 'example', '--client-id', 'c', '--client-secret-file', '-'];
  await run(app, 'secret');
  const lines = join(machine.home, 'grants.ndjson');
  writeFileSync(
    lines,
    JSON.stringify({ tenant: 'acme', provider: 'example', app: 'one', refresh_token: 'refresh-acme' }),
  );
  await run(['import', lines]);
  return (await run(['key', 'create', 'ops', '--role', 'admin'])).trim();
}

let keys = 0;

async function useCommands(machine: Machine, version: Version): Promise<void> {
  const { number, grant, app } = versions[version];
  keys += 1;
  const fine = ['list', 'doctor', 'show acme example', 'token acme example', 'token acme example -t 3590'];
  for (const words of [...fine, 'call acme example GET /x', `key create key-${keys} --role admin`, 'health']) {
    const { code, stderr } = await machine.run(words.split(' '));
    expect([version, words, code, code === 0 ? '' : stderr]).toEqual([version, words, 0, '']);
  }
  expect((await machine.run(['--version'])).stdout).toBe(`${number}\n`);
  expect((await machine.run(['token', 'nobody', 'example'])).stderr).toContain(grant);
  expect((await machine.run(['app', 'show', 'nobody'])).stderr).toContain(app);
}

/** Uses the parts of a server that are loaded on demand. */
async function useServer({ url }: Server, key: string, version: Version): Promise<void> {
  const token = '/v1/tenants/acme/grants/example';
  const call = async (method: string, path: string, body?: unknown): Promise<string> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      redirect: 'manual',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const fault = response.status < 500 ? '' : text;
    expect([version, method, path, fault]).toEqual([version, method, path, '']);
    return text;
  };
  const shown: unknown = JSON.parse(await call('GET', `${token}/token?min_validity=3590`));
  const generation = typeof shown === 'object' && shown !== null && 'generation' in shown ? shown.generation : 0;
  await call('POST', `${token}/token`, { rejected_generation: generation });
  const session = await call('POST', '/v1/connect-sessions', { tenant: 'globex', provider: 'example' });
  const link = /"url":"[^"]*(\/connect\/[^"]+)"/.exec(session)?.[1] ?? '';
  expect(await call('GET', link)).toContain('<form');
  await call('GET', '/oauth/callback/nothing?code=c&state=s');
  for (const path of ['/readyz', '/metrics', '/openapi.json', '/v1/grants', '/v1/apps', '/v1/keys', '/v1/providers'])
    await call('GET', path);
  await call('GET', '/v1/proxy/acme/example/x');
  await call('POST', `${token}/health`);
  await call('POST', `${token}/recover`);
  await call('PUT', '/v1/tenants/globex/grants/example', { app: 'one', refresh_token: 'refresh-globex' });
  await call('DELETE', '/v1/tenants/globex/grants/example');
  await call('POST', '/v1/adopt', {});
  expect(await call('GET', '/v1/tenants/nobody/grants/example/token')).toContain(versions[version].grant);
  expect(await call('GET', '/v1/apps/nobody')).toContain(versions[version].app);
}

test('a machine ends the server that a failed test left running', async () => {
  let url = '';
  {
    await using machine = await Machine.make({});
    await machine.install(builds.old);
    await machine.run(['init']);
    ({ url } = await machine.serve());
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  }
  await expect(fetch(`${url}/livez`)).rejects.toThrow('fetch failed');
});

test('the builds differ in their messages only where they should', () => {
  const main = (version: Version): string => readFileSync(join(builds[version], 'dist/cli/main.cjs'), 'utf8');
  // V8 tells two sources apart by their length, so this is what a cache must not confuse.
  expect(main('new')).not.toBe(main('old'));
  expect(main('new')).toHaveLength(main('old').length);
});
