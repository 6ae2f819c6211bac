/** The command line against a server: the same commands, with GRANTRY_URL and a key instead of a database. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoClient } from '../../src/simulator/index.ts';
import { makeServerBench, type ServerBench } from '../support/server-bench.ts';
import { Home, type Run, type RunOptions } from './grantry.ts';

let server: ServerBench;
let home: Home;
beforeAll(async () => {
  server = await makeServerBench({ profiles: ['strict', 'none'] });
  home = await Home.make();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await home?.[Symbol.asyncDispose]();
});

async function run(args: readonly string[], options: RunOptions & { key?: string } = {}): Promise<Run> {
  const env = {
    GRANTRY_URL: server.url,
    GRANTRY_API_KEY: options.key ?? (await server.keyOf('admin')),
    ...options.env,
  };
  return home.run(args, { ...options, env });
}

/** Acts as a browser: opens the link, presses its button, consents, and comes back with its cookie. */
async function goThrough(link: string): Promise<Response> {
  const page = await fetch(link);
  const cookie = page.headers.get('set-cookie')?.split(';')[0] ?? '';
  const proof = /name="proof" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
  const pressed = await fetch(link, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie },
    body: new URLSearchParams({ proof }),
  });
  const consent = new Request(pressed.headers.get('location') ?? '', { redirect: 'manual' });
  const { headers } = await server.bench.simulator.fetch(consent);
  return fetch(headers.get('location') ?? '', { redirect: 'manual', headers: { cookie } });
}

describe('grantry with GRANTRY_URL', () => {
  test('keeps apps, imports a client file and hands out its token', async () => {
    await writeFile(join(home.path, 'secret.txt'), demoClient.secret ?? '');
    const added = await run([
      'app',
      'add',
      'strict',
      '--provider',
      'strict',
      '--client-id',
      demoClient.clientId,
      '--client-secret-file',
      'secret.txt',
    ]);
    expect(added).toMatchObject({ code: 0 });
    expect(added.stdout + added.stderr).toContain(`${server.url}/oauth/callback/`);
    expect((await run(['app', 'list', '--json'])).stdout).toContain('"strict"');

    const minted = server.bench.simulator.mintTokens({
      profile: 'strict',
      clientId: demoClient.clientId,
      user: 'user@us.example',
      scopes: ['read'],
    });
    await writeFile(join(home.path, 'acme.env'), `ZOHO_REFRESH_TOKEN=${minted.refreshToken}\n`);
    const imported = await run(['import', 'acme.env', '--tenant', 'acme', '--provider', 'strict', '--app', 'strict']);
    expect(imported.stderr).not.toContain(minted.refreshToken);
    expect(imported).toMatchObject({ code: 0 });

    const token = await run(['token', 'acme', 'strict', '--json']);
    expect(token.code).toBe(0);
    const { access_token: text, generation } = JSON.parse(token.stdout);
    expect((await run(['token', 'acme', 'strict'])).stdout).toBe(`${text}\n`);
    server.bench.simulator.killAccessToken(text);
    const fresh = await run(['token', 'acme', 'strict', '--rejected', String(generation), '--json']);
    expect(JSON.parse(fresh.stdout).generation).toBe(generation + 1);
  });

  test('imports a file of lines, and reports the bad ones', async () => {
    const lines = Array.from({ length: 40 }, (_, index) => ({
      tenant: `bulk-${index}`,
      provider: 'strict',
      refresh_token: `bulk-token-${index}`,
      app: index === 7 ? 'nobody' : 'strict',
    }));
    await writeFile(join(home.path, 'grants.ndjson'), lines.map((each) => JSON.stringify(each)).join('\n'));
    const imported = await run(['import', 'grants.ndjson']);
    expect(imported).toMatchObject({ code: 2 });
    expect(imported.stderr).toBe('40 lines: 39 stored, 0 replaced, 0 left as they are, 1 failed.\n');
    expect(imported.stdout).toMatch(/^line 8: There is no app nobody\..*\n$/);
    const again = await run(['import', 'grants.ndjson', '--json']);
    expect(again.stdout.trim().split('\n')).toHaveLength(40);
    expect(again.stdout).not.toContain('bulk-token');
    for (const { tenant } of lines.filter((_, index) => index < 3)) await run(['disconnect', tenant, 'strict']);
  });

  test('lists, shows and proves grants', async () => {
    const listed = await run(['list', '--tenant', 'acme', '--json']);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ tenant: 'acme', provider: 'strict', state: 'active' }]);
    expect((await run(['show', 'acme', 'strict'])).stdout).toContain('active');
    expect((await run(['show', 'globex', 'strict'])).code).toBe(3);
    expect(JSON.parse((await run(['health', 'acme', 'strict', '--json'])).stdout)).toMatchObject({ status: 'healthy' });
    expect((await run(['recover', 'acme', 'strict'])).code).toBe(0);
    const env = await run(['exec', 'acme', '--provider', 'strict', '--', 'printenv', 'STRICT_ACCESS_TOKEN']);
    expect(env.stdout.length).toBeGreaterThan(20);
  });

  test.each(['/../../../tenants/acme/grants/strict/token', '/..%2f..%2fkeys', '/a/%2e%2e/b', '/x;/..;/y', 'keys'])(
    'a call to %s does not leave the proxy',
    async (path) => {
      expect(await run(['call', 'acme', 'strict', 'GET', path])).toMatchObject({ code: 2, stdout: '' });
    },
  );

  test('connects a tenant through a link', async () => {
    const answers: Promise<Response>[] = [];
    const connected = await run(['connect', 'globex', 'strict', '--json'], {
      onStderr: (text) => {
        const link = /^ {2}(http:\S+\/connect\/\S+)$/m.exec(text)?.[1];
        if (link !== undefined && answers.length === 0) answers.push(goThrough(link));
      },
    });
    expect((await answers[0])?.status).toBe(303);
    expect(connected.code).toBe(0);
    expect(JSON.parse(connected.stdout)).toMatchObject({ tenant: 'globex', provider: 'strict', state: 'active' });
    expect((await run(['connect', 'globex', 'strict', '--code', '-'], { stdin: '1000.x' })).stderr).toContain(
      'does not work through a server',
    );
  });

  test('makes and ends keys, and a reader is held to its role', async () => {
    const made = await run(['key', 'create', 'billing', '--role', 'reader', '--tenant', 'acme', '--json']);
    const { key, id, ...rest } = JSON.parse(made.stdout);
    expect(rest).toEqual({ name: 'billing', role: 'reader' });
    expect((await run(['token', 'acme', 'strict'], { key })).code).toBe(0);
    expect(await run(['token', 'globex', 'strict'], { key })).toMatchObject({ code: 1, stdout: '' });
    expect((await run(['key', 'list'], { key })).stderr).toContain('may not do this');
    expect((await run(['key', 'list'])).stdout).toContain('billing');
    expect((await run(['key', 'revoke', id])).code).toBe(0);
    await server.bench.jump(5_000);
    expect((await run(['token', 'acme', 'strict'], { key })).stderr).toContain('revoked');
  });

  test('leaves the token alive at the provider with --no-revoke', async () => {
    const { minted } = await server.bench.connect(server.vault, { tenant: 'initech' });
    const ended = await run(['disconnect', 'initech', 'strict', '--no-revoke']);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('not revoked') });
    expect(server.bench.simulator.isAlive(minted.refreshToken)).toBe(true);
  });

  test('does not revoke a token that another grant holds, and names that grant', async () => {
    const { minted } = await server.bench.connect(server.vault, { tenant: 'umbrela' });
    await server.vault.storeTokens({ tenant: 'umbrella', provider: 'strict' }, { refreshToken: minted.refreshToken });
    const ended = await run(['disconnect', 'umbrela', 'strict']);
    expect(ended.stdout).toContain('not revoked at the provider, because that would also end umbrella/strict/default');
    expect(server.bench.simulator.isAlive(minted.refreshToken)).toBe(true);
    const again = { refreshToken: minted.refreshToken, replace: true };
    await server.vault.storeTokens({ tenant: 'umbrela', provider: 'strict' }, again);
    const json = JSON.parse((await run(['disconnect', 'umbrela', 'strict', '--json'])).stdout);
    expect(json).toMatchObject({ revocation: 'shared', shared_with: ['umbrella/strict/default'] });
  });

  test('looks after providers, disconnects, and doctors the server', async () => {
    expect((await run(['provider', 'show', 'zoho_crm', '--json'])).stdout).toContain('"zoho_crm"');
    expect((await run(['provider', 'list'])).stdout).toContain('zoho_crm');
    const doctor = await run(['doctor', '--json']);
    expect(JSON.parse(doctor.stdout).map((found: { status: string }) => found.status)).toEqual(['ok', 'ok', 'ok']);
    const set = await run(['set', 'acme', 'strict', 'org_id=42', 'environment=', '--json']);
    expect(JSON.parse(set.stdout).metadata).toMatchObject({ org_id: '42' });
    expect((await run(['set', 'acme', 'strict', 'org_id'])).code).toBe(2);
    expect(await run(['disconnect', 'acme', 'strict'])).toMatchObject({ code: 0 });
    expect((await run(['token', 'acme', 'strict'])).code).toBe(3);
    expect((await run(['init'])).code).toBe(2);
  });
});
