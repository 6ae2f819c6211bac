/**
 * The description of the API, read by a generator that is not ours: `openapi-typescript` makes types of `/openapi.json`, and
 * the compiler checks the real requests and answers of a running server against them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoClient } from '../../src/simulator/index.ts';
import { user } from '../support/bench.ts';
import { cookieName } from '../support/connect-bench.ts';
import { makeServerBench, type ServerBench } from '../support/server-bench.ts';

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, object>> }>>;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
}

/** One exchange: a type of the generated file, and the JSON that was really sent or answered. */
interface Sample {
  readonly type: string;
  readonly json: string;
}

const root = join(import.meta.dirname, '../..');
const grant = '/v1/tenants/acme/grants/strict';
let server: ServerBench;
let description: Description;
let folder: string;
const samples: Sample[] = [];
const answered = new Set<string>();

beforeAll(async () => {
  server = await makeServerBench({ profiles: ['strict', 'zoho'] });
  description = JSON.parse((await server.call('GET', '/openapi.json', { key: null })).text);
  await callEverything();
  // Afterwards: it blocks the event loop, and a server in it would count as overloaded.
  mkdirSync(join(root, '.tmp'), { recursive: true });
  folder = mkdtempSync(join(root, '.tmp/openapi-'));
  const types = execFileSync(process.execPath, [join(root, 'test/support/openapi-types.ts')], {
    input: JSON.stringify(description),
  });
  writeFileSync(join(folder, 'api.d.ts'), types);
}, 120_000);

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test('the generated types compile against every real request and answer', () => {
  expect(compile(samples)).toEqual({ status: 0, output: '' });
}, 120_000);

test('an answer that differs from its description does not compile', () => {
  const [known] = samples.filter((sample) => sample.json.includes('"client_id"'));
  const { type = '', json = '' } = known ?? {};
  const changes = [json.replace('"client_id"', '"client_ids"'), json.replace('"provider":"strict"', '"provider":7')];
  const { output } = compile(changes.map((changed) => ({ type, json: changed })));
  // One error on the line of each.
  expect(output).toMatch(/^samples\.ts\(2,.*^samples\.ts\(3,/ms);
}, 120_000);

test('every documented JSON answer was really given', () => {
  const documented = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { responses }]) =>
      Object.entries(responses)
        .filter(([, { content = {} }]) => Object.keys(content).some((type) => type.includes('json')))
        .map(([status]) => `${method} ${path} ${status}`),
    ),
  );
  expect([...answered].toSorted()).toEqual(documented.toSorted());
});

test('every schema and operation has a description, and every schema an example', () => {
  for (const [name, schema] of Object.entries(description.components.schemas)) {
    expect([name, schema['$ref'], typeof schema['description']]).toEqual([name, undefined, 'string']);
    expect([name, Array.isArray(schema['examples'])]).toEqual([name, true]);
  }
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      expect([method, path, operation.description ?? '']).toEqual([
        method,
        path,
        expect.stringMatching(/^[A-Z].+\.$/s),
      ]);
    }
  }
});

/** Calls each documented route once, and once more where it has two good answers. */
async function callEverything(): Promise<void> {
  const app = { provider: 'strict', client_id: demoClient.clientId, client_secret: demoClient.secret };
  const put = { ...app, scopes: ['read'], return_to: ['https://app.example/connected'], tenants: ['acme'] };
  await call('PUT', '/v1/apps/{app}', '/v1/apps/strict', put);
  await call('PUT', '/v1/apps/{app}', '/v1/apps/strict', put);
  await call('PUT', '/v1/apps/{app}', '/v1/apps/crm', {
    provider: 'zoho_crm',
    client_id: 'x',
    client_secrets: { us: 'y' },
  });
  await call('GET', '/v1/apps/{app}', '/v1/apps/strict');
  await call('GET', '/v1/apps', '/v1/apps');
  await call('DELETE', '/v1/apps/{app}', '/v1/apps/crm');
  await callGrants();
  await callSessions();
  const mine = { ...server.bench.simulator.definition('strict'), id: 'mine' };
  await call('PUT', '/v1/providers/{provider}', '/v1/providers/mine', mine);
  await call('PUT', '/v1/providers/{provider}', '/v1/providers/mine', mine);
  await call('GET', '/v1/providers/{provider}', '/v1/providers/zoho_crm');
  await call('GET', '/v1/providers', '/v1/providers');
  await call('DELETE', '/v1/providers/{provider}', '/v1/providers/mine');
  const key = { name: 'billing', role: 'reader', tenants: ['acme'], providers: ['strict'] };
  await call('POST', '/v1/keys', '/v1/keys', key);
  await call('GET', '/v1/keys', '/v1/keys');
  await call('PATCH', '/v1/keys/{id}', '/v1/keys/billing', { tenants: '*', expires_at: null });
  const child = { name: 'job', role: 'caller', methods: ['GET'], paths: ['/crm/**'] };
  await call('POST', '/v1/keys/self/children', '/v1/keys/self/children', child);
  await call('DELETE', '/v1/keys/{id}', '/v1/keys/billing');
  await call('GET', '/v1/audit', '/v1/audit');
  await call('GET', '/v1/audit/checkpoint', '/v1/audit/checkpoint');
  await call('GET', '/v1/audit/export', '/v1/audit/export');
  await call('GET', '/v1/audit/entries/{seq}/proof', '/v1/audit/entries/0/proof');
  await call('GET', '/v1/tenants/{tenant}/grants/{provider}/history', `${grant}/history`);
  for (const path of ['/livez', '/readyz', '/openapi.json']) await call('GET', path, path);
  await exchange();
}

async function callGrants(): Promise<void> {
  const path = '/v1/tenants/{tenant}/grants/{provider}';
  const { minted } = await server.bench.connect(server.vault, { tenant: 'acme', expiresIn: 3_600 });
  const tokens = { app: 'strict', refresh_token: minted.refreshToken, scope: 'read', metadata: { org_id: '1' } };
  await call('PUT', path, grant, tokens);
  await call('PUT', path, `${grant}?account=second`, {
    ...tokens,
    expires_in: 3_600,
    access_token: minted.accessToken,
  });
  await call('GET', path, grant);
  await call('PATCH', path, grant, { metadata: { org_id: null, note: 'x' } });
  await call('GET', '/v1/grants', '/v1/grants?tenants=acme&limit=1');
  const token = await call('GET', `${path}/token`, `${grant}/token?min_validity=60`);
  await call('POST', `${path}/token`, `${grant}/token`, { rejected_generation: token.generation });
  await call('POST', `${path}/health`, `${grant}/health`);
  await call('POST', `${path}/health`, `${grant}/health?account=second&refresh=true`);
  await call('POST', `${path}/recover`, `${grant}/recover`);
  const { simulator } = server.bench;
  const clientId = demoClient.clientId;
  const books = { provider: 'zoho_books', clientId, clientSecret: demoClient.secret ?? '' };
  await server.vault.apps.put('books', books);
  const { refreshToken } = simulator.mintTokens({
    profile: 'zoho',
    clientId,
    user,
    scopes: ['ZohoBooks.settings.READ'],
  });
  await server.vault.storeTokens({ tenant: 'acme', provider: 'zoho_books' }, { refreshToken, metadata: { dc: 'us' } });
  await call('GET', `${path}/organizations`, '/v1/tenants/acme/grants/zoho_books/organizations');
  await call('GET', `${path}/budget`, '/v1/tenants/acme/grants/zoho_books/budget');
  await call('GET', `${path}/budget`, `${grant}/budget`);
  await call('GET', '/v1/apps/{app}/slots', '/v1/apps/books/slots');
  await call('POST', '/v1/import', '/v1/import', { tenant: 'acme', provider: 'strict', account: 'third', ...tokens });
  await call('DELETE', path, `${grant}?account=third&revoke=false`);
  await call('POST', '/v1/adopt', '/v1/adopt', { after_restore: true });
}

async function callSessions(): Promise<void> {
  const input = { tenant: 'acme', provider: 'strict', return_to: 'https://app.example/connected', user: 'alice' };
  const made = await call('POST', '/v1/connect-sessions', '/v1/connect-sessions', input);
  const completion = { completion_code: await visit(made.url), user: 'alice' };
  const path = '/v1/connect-sessions/{id}';
  await call('POST', `${path}/complete`, `/v1/connect-sessions/${made.id}/complete`, completion);
  await call('GET', path, `/v1/connect-sessions/${made.id}`);
  await call('GET', '/v1/connect-sessions', '/v1/connect-sessions');
}

/** Goes through the browser's part of a session and returns the completion code. */
async function visit(link: string): Promise<string> {
  const page = await fetch(link);
  const [, cookie = ''] = /=([^;]+)/.exec(page.headers.get('set-cookie') ?? '') ?? [];
  const headers = { cookie: `${cookieName}=${cookie}` };
  const proof = /name="proof" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
  const body = new URLSearchParams({ proof });
  const pressed = await fetch(link, { method: 'POST', body, headers, redirect: 'manual' });
  const consented = await server.bench.simulator.fetch(new Request(pressed.headers.get('location') ?? ''));
  const back = await fetch(consented.headers.get('location') ?? '', { headers, redirect: 'manual' });
  return new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? '';
}

async function exchange(): Promise<void> {
  const { apiKey, key } = await server.vault.keys.create('exchange', { role: 'reader', tenants: ['acme'] });
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    audience: 'strict',
    subject_token: 'acme',
    client_id: apiKey.id,
    client_secret: key.reveal(),
  };
  const body = new URLSearchParams(form);
  const response = await fetch(`${server.url}/oauth2/token`, { method: 'POST', body });
  keep('post', '/oauth2/token', response.status, await response.text());
  keepRequest('post', '/oauth2/token', 'application/x-www-form-urlencoded', form);
}

async function call(method: string, template: string, path: string, body?: object) {
  const lines = template === '/v1/import';
  const headers = lines ? { 'content-type': 'application/x-ndjson' } : {};
  const sent = lines ? JSON.stringify(body) : body;
  const called = await server.call(method, path, { headers, ...(sent === undefined ? {} : { body: sent }) });
  const name = method.toLowerCase();
  expect([method, path, called.status, called.text]).toEqual([method, path, expect.toSatisfy(isGood), called.text]);
  keep(name, template, called.status, called.text);
  if (body !== undefined) keepRequest(name, template, lines ? 'application/x-ndjson' : 'application/json', body);
  return called.body;
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

function keep(method: string, template: string, status: number, text: string): void {
  const isLines = template === '/v1/import' || template === '/v1/audit/export';
  const type = isLines ? 'application/x-ndjson' : 'application/json';
  const responses = `paths['${template}']['${method}']['responses'][${status}]`;
  if (text === '') samples.push({ type: `${responses}['content']`, json: 'undefined' });
  else {
    samples.push({
      type: `${responses}['content']['${type}']`,
      json: (isLines ? (text.split('\n')[0] ?? '') : text).trim(),
    });
    answered.add(`${method} ${template} ${status}`);
  }
}

function keepRequest(method: string, template: string, type: string, body: object): void {
  const content = `NonNullable<paths['${template}']['${method}']['requestBody']>['content']['${type}']`;
  samples.push({ type: content, json: JSON.stringify(body) });
}

/** Compiles literals against the generated types; a member that is not described is an error, too. */
function compile(all: readonly Sample[]): { status: number | null; output: string } {
  const lines = all.map(({ type, json }, index) => `export const sample${index}: ${type} = ${json};`);
  writeFileSync(join(folder, 'samples.ts'), ["import type { paths } from './api.d.ts';", ...lines, ''].join('\n'));
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--allowImportingTsExtensions'];
  const modules = ['--module', 'nodenext', '--target', 'es2024', '--types', 'node', '--ignoreConfig'];
  const tsc = join(root, 'node_modules/.bin/tsc');
  const { status, stdout } = spawnSync(tsc, [...options, ...modules, 'samples.ts'], { cwd: folder, encoding: 'utf8' });
  return { status, output: stdout };
}
