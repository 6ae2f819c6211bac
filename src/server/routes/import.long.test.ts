import { describe, expect, it } from 'vitest';
import { databaseKinds } from '../../../test/support/bench.ts';
import { makeServerBench, type ServerBench } from '../../../test/support/server-bench.ts';
import { limits } from '../../base/limits.ts';

interface Result {
  readonly line: number;
  readonly status: number;
  readonly tenant?: string;
  readonly code?: string;
  readonly shared_with?: readonly string[];
  readonly result?: string;
  readonly differs?: readonly string[];
}

async function importLines(server: ServerBench, lines: readonly (string | object)[]): Promise<Result[]> {
  const body = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  const headers = { 'content-type': 'application/x-ndjson' };
  const { status, text } = await server.call('POST', '/v1/import', { key: 'operator', headers, body });
  expect(status).toBe(200);
  const results = text.trim().split('\n');
  return results.map((each): Result => JSON.parse(each)).sort((one, other) => one.line - other.line);
}

const line = (tenant: string, more: object = {}): object => ({
  tenant,
  provider: 'strict',
  app: 'strict',
  refresh_token: `token-of-${tenant}`,
  ...more,
});

/** A body of which one line comes, and then nothing. */
function stalled(): ReadableStream<Uint8Array> {
  const first = new TextEncoder().encode(`${JSON.stringify(line('acme'))}\n`);
  return new ReadableStream({ start: (controller) => controller.enqueue(first) });
}

it('a sender that stops sending is told so, and counts as under way until then', async () => {
  await using server = await makeServerBench();
  await server.bench.addApp(server.vault, 'strict');
  const headers = { authorization: `Bearer ${await server.keyOf('operator')}`, 'content-type': 'application/x-ndjson' };
  const response = await fetch(`${server.url}/v1/import`, { method: 'POST', headers, body: stalled(), duplex: 'half' });
  const text = response.text();
  await expect.poll(() => server.vault.grants.get({ tenant: 'acme', provider: 'strict' })).not.toBeNull();
  await server.bench.jump(limits.importIdleMs + 1_000);
  const results = (await text)
    .trim()
    .split('\n')
    .map((each): Result => JSON.parse(each));
  expect(results.map(({ line: number, status, code }) => [number, status, code])).toEqual([
    [1, 201, undefined],
    [0, 400, 'invalid_request'],
  ]);
});

describe.each(databaseKinds)('POST /v1/import on %s', (kind) => {
  it('stores each line, and a bad line stops no other', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.addApp(server.vault, 'strict');
    const results = await importLines(server, [
      line('acme'),
      line('globex', { account: 'second' }),
      'not JSON, with a secret-token in it',
      { tenant: 'no token' },
      line('initech', { app: 'unknown' }),
      '',
      line('acme', { account: 'twin', refresh_token: 'token-of-acme' }),
      line('hooli', { surprise: true }),
    ]);
    expect(results.map(({ line: number, status, code }) => [number, status, code])).toEqual([
      [1, 201, undefined],
      [2, 201, undefined],
      [3, 400, 'invalid_request'],
      [4, 400, 'invalid_request'],
      [5, 404, 'not_found'],
      [7, 201, undefined],
      [8, 400, 'invalid_request'],
    ]);
    expect(JSON.stringify(results)).not.toContain('secret-token');
    expect(JSON.stringify(results)).not.toContain('token-of-');
    const again = await importLines(server, [line('acme', { refresh_token: 'newer' })]);
    expect(again).toMatchObject([{ line: 1, status: 200, tenant: 'acme' }]);
    const { body } = await server.call('GET', '/v1/grants');
    expect(body.items.map(({ tenant, account }) => `${tenant}/${account}`)).toEqual([
      'acme/default',
      'acme/twin',
      'globex/second',
    ]);
  });

  it('says when another grant holds the same refresh token', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.addApp(server.vault, 'strict');
    await importLines(server, [line('acme')]);
    const [result] = await importLines(server, [line('globex', { refresh_token: 'token-of-acme' })]);
    expect(result?.shared_with).toEqual(['acme/strict/default']);
  });

  it('changes and makes no app for tokens that it refuses', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.addApp(server.vault, 'strict');
    const first = { ...line('acme'), app: undefined, client_id: 'acme-client', client_secret: 'one' };
    const bad = { scope: 's'.repeat(limits.scopeCharsMax + 1) };
    expect(await importLines(server, [{ ...first, ...bad }])).toMatchObject([{ status: 400 }]);
    expect(await server.vault.apps.get('acme-strict')).toBeNull();
    expect(await importLines(server, [first])).toMatchObject([{ status: 201 }]);
    const changed = { ...first, ...bad, client_id: 'another', client_secret: 'two', replace: true };
    expect(await importLines(server, [changed])).toMatchObject([{ status: 400 }]);
    expect(await server.vault.apps.get('acme-strict')).toMatchObject({ clientId: 'acme-client' });
    expect(await importLines(server, [first])).toMatchObject([{ result: 'unchanged', differs: [] }]);
  });

  it('changes nothing the second time, and tells what differs', async () => {
    await using server = await makeServerBench({ kind });
    const { vault } = server;
    await server.bench.addApp(vault, 'strict');
    const first = { ...line('acme'), app: undefined, client_id: 'acme-client', client_secret: 'one' };
    const metadata = { org_id: '1' };
    expect(await importLines(server, [{ ...first, metadata, dry_run: true }])).toMatchObject([{ result: 'imported' }]);
    expect(await vault.grants.get({ tenant: 'acme', provider: 'strict' })).toBeNull();
    expect(await vault.apps.get('acme-strict')).toBeNull();
    expect(await importLines(server, [{ ...first, metadata }])).toMatchObject([{ status: 201, result: 'imported' }]);
    expect(await vault.apps.get('acme-strict')).toMatchObject({ clientId: 'acme-client', tenants: ['acme'] });
    const before = JSON.stringify([await vault.grants.list(), await vault.apps.list()]);
    const other = { ...first, client_secret: 'two', metadata: { org_id: '2' } };
    const differs = ['client_secret', 'metadata.org_id'];
    for (const [given, told] of [
      [
        { ...first, metadata },
        { status: 200, result: 'unchanged', differs: [] },
      ],
      [other, { status: 200, result: 'unchanged', differs }],
      [
        { ...other, replace: false, refresh_token: 'newer' },
        { status: 200, result: 'kept', differs },
      ],
      [
        { ...other, client_id: 'another' },
        { status: 200, result: 'unchanged', differs: ['client_id', ...differs] },
      ],
      [
        { ...other, client_id: 'another', refresh_token: 'newer' },
        { status: 400, code: 'invalid_request' },
      ],
      [
        { ...other, replace: true, dry_run: true },
        { result: 'replaced', differs: [] },
      ],
    ] as const)
      expect(await importLines(server, [given])).toMatchObject([told]);
    expect(JSON.stringify([await vault.grants.list(), await vault.apps.list()])).toBe(before);
    expect(await importLines(server, [{ ...other, replace: true }])).toMatchObject([
      { result: 'replaced', differs: [] },
    ]);
    expect(await importLines(server, [other])).toMatchObject([{ result: 'unchanged', differs: [] }]);
    expect(await vault.grants.get({ tenant: 'acme', provider: 'strict' })).toMatchObject({
      generation: 1,
      metadata: { org_id: '2' },
    });
  });

  it('refuses a client for an app that is missing, serves others, or has another client', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.addApp(server.vault, 'strict');
    await server.vault.apps.put('shared-strict', { provider: 'strict', clientId: 'c', clientSecret: 's' });
    const results = await importLines(server, [
      line('acme', { app: 'strict', client_id: 'another' }),
      line('shared', { app: undefined, client_id: 'c', client_secret: 's' }),
      line('globex', { app: undefined, client_id: 'c' }),
    ]);
    expect(results.map(({ code }) => code)).toEqual(['invalid_request', 'invalid_request', 'invalid_request']);
    expect((await server.vault.grants.list()).items).toEqual([]);
  });

  it('takes hundreds of lines and answers while they arrive', async () => {
    await using server = await makeServerBench({ kind });
    await server.bench.addApp(server.vault, 'strict');
    const results = await importLines(
      server,
      Array.from({ length: 300 }, (_, index) => line(`tenant-${index}`)),
    );
    expect(results.filter(({ status }) => status === 201).length).toBe(300);
  });
});

it('refuses a body that is no NDJSON, and a line that is too long', async () => {
  await using server = await makeServerBench();
  await server.bench.addApp(server.vault, 'strict');
  expect((await server.call('POST', '/v1/import', { body: {} })).status).toBe(400);
  const results = await importLines(server, [line('acme'), `"${'x'.repeat(70_000)}"`, line('globex')]);
  expect(results.map(({ line: number, status }) => [number, status])).toEqual([
    [1, 201],
    [2, 413],
    [3, 201],
  ]);
});
