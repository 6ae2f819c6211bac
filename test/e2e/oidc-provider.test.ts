import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { sql } from 'kysely';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';

import { timesOf } from '../../src/base/limits.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { openVault, type Vault, type VaultEvent } from '../../src/index.ts';
import { openStore } from '../../src/storage/store.ts';
import { type ScratchDatabase, scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { type OidcClient, OidcServer, redirectUri } from './oidc-server.ts';
import { Browser } from './sign-in.ts';

const key = { tenant: 'acme', provider: 'certified' };
const scopes = ['openid', 'offline_access'];
let server: OidcServer;
let scratch: ScratchDatabase;
let home = '';
let vault: Vault;
let events: VaultEvent[] = [];

beforeAll(() => {
  // It says at every start that its sign-in pages are for development.
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  vi.spyOn(console, 'info').mockImplementation(() => {});
});

describe.each([
  ['SQLite', async () => scratchSqlite()],
  ['PostgreSQL', scratchDatabase],
] as const)('oidc-provider, with the vault on %s', (_, makeDatabase) => {
  beforeEach(async () => {
    server = await OidcServer.start();
    scratch = await makeDatabase();
    home = mkdtempSync(path.join(tmpdir(), 'grantry-e2e-'));
    events = [];
    vault = await open();
  });

  afterEach(async () => {
    await vault.close();
    await server[Symbol.asyncDispose]();
    await scratch.drop();
    rmSync(home, { recursive: true, force: true });
  });

  test('a whole life: connect, two rotating refreshes, disconnect', async () => {
    const grant = await connect('client_secret_post');
    expect(grant).toMatchObject({ state: 'active', generation: 1, scopes });
    const first = { access: (await vault.getAccessToken(key)).accessToken, refresh: server.lastRefreshToken };
    expect(await sub(await vault.fetch(key, '/me'))).toBe('alice');

    const second = await vault.rejectAccessToken(key, 1);
    expect(second.generation).toBe(2);
    expect(second.accessToken).not.toBe(first.access);
    expect(server.lastRefreshToken).not.toBe(first.refresh);

    // The API itself refuses this one: refreshed once, and the call made again.
    await server.forget(second.accessToken);
    expect(await sub(await vault.fetch(key, '/me'))).toBe('alice');
    const third = { access: (await vault.getAccessToken(key)).accessToken, refresh: server.lastRefreshToken };
    expect((await vault.grants.get(key))?.generation).toBe(3);
    expect(server.tokenRequests('refresh_token').map(({ status }) => status)).toEqual([200, 200]);
    expect([await server.isActive(third.access), await server.isActive(third.refresh)]).toEqual([true, true]);

    expect(await vault.disconnect(key)).toEqual({ revocation: 'revoked' });
    expect([await server.isActive(third.access), await server.isActive(third.refresh)]).toEqual([false, false]);
    expect(await server.refresh(third.refresh)).toEqual({ status: 400, error: 'invalid_grant' });
    await expect(vault.getAccessToken(key)).rejects.toMatchObject({ code: 'grant_not_found' });
    expect(await vault.grants.get(key)).toMatchObject({ state: 'disconnected', generation: 3 });
  });

  test('its endpoints are asked for once, and kept', async () => {
    await connect('client_secret_post');
    await vault.close();
    vault = await open();
    await vault.rejectAccessToken(key, 1);
    expect(server.served.filter((each) => each.path.startsWith('/.well-known'))).toHaveLength(1);
    expect(await vault.providers.get(key.provider)).toMatchObject({
      endpoints: { token: `${server.issuer}/token`, revocation: `${server.issuer}/token/revocation` },
      callback: { issuerAlwaysSent: true },
    });
  });

  test.each(['client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const)(
    'a client that proves itself by %s is connected and refreshed',
    async (method) => {
      await connect(method);
      expect((await vault.rejectAccessToken(key, 1)).generation).toBe(2);
      const [refresh] = server.tokenRequests('refresh_token');
      expect({
        basic: refresh?.authorization?.startsWith('Basic ') ?? false,
        secret: refresh?.form.has('client_secret'),
        assertion: refresh?.form.has('client_assertion'),
      }).toEqual({
        basic: method === 'client_secret_basic',
        secret: method === 'client_secret_post',
        assertion: method === 'private_key_jwt',
      });
    },
  );

  test('a client with a wrong secret harms no grant', async () => {
    await connect('client_secret_post');
    const app = { provider: key.provider, clientId: server.client('client_secret_post').clientId };
    await vault.apps.put('ours', { ...app, clientSecret: 'not the secret' });
    await expect(vault.rejectAccessToken(key, 1)).rejects.toMatchObject({ code: 'provider_misconfigured' });
    await vault.apps.put('ours', { ...app, clientSecret: server.client('client_secret_post').secret });
    expect((await vault.rejectAccessToken(key, 1)).generation).toBe(2);
  });

  test('a request without PKCE is refused by the provider', async () => {
    const url = await start('client_secret_post');
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const callback = await new Browser().signIn(url.href, redirectUri);
    expect(new URL(callback).searchParams.get('error')).toBe('invalid_request');
    await refused(callback, 0);
  });

  test('a code that belongs to another challenge is refused by the provider', async () => {
    const url = await start('client_secret_post');
    expect(url.searchParams.get('code_challenge_method')).toBe('S256');
    url.searchParams.set('code_challenge', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM');
    await refused(await new Browser().signIn(url.href, redirectUri), 1);
    expect(server.tokenRequests('authorization_code')[0]?.answer['error']).toBe('invalid_grant');
  });

  test.each([
    ['another', (callback: URL) => callback.searchParams.set('iss', 'https://attacker.example')],
    ['no', (callback: URL) => callback.searchParams.delete('iss')],
  ])('a callback with %s issuer is refused, and its code goes nowhere', async (_which, forge) => {
    const url = await start('client_secret_post');
    const callback = new URL(await new Browser().signIn(url.href, redirectUri));
    expect(callback.searchParams.get('iss')).toBe(server.issuer);
    forge(callback);
    await refused(callback.href, 0);
  });

  test('a refresh whose answer died with its process is reported as a lost rotation, once', async () => {
    await connect('client_secret_post');
    const dead = server.lastRefreshToken;
    await killInRefresh();
    const successor = server.lastRefreshToken;
    expect(successor).not.toBe(dead);
    expect([await server.isActive(successor), (await vault.grants.get(key))?.generation]).toEqual([true, 1]);

    await endLease();
    await expect(vault.rejectAccessToken(key, 1)).rejects.toMatchObject({ code: 'refresh_uncertain' });
    await endPause();
    await expect(vault.rejectAccessToken(key, 1)).rejects.toMatchObject({
      code: 'reauthorization_required',
      message: expect.stringContaining('the answer with the new one was lost'),
    });
    expect(await vault.grants.get(key)).toMatchObject({ state: 'reauthorization_required', reason: 'lost_rotation' });
    // The old token was used again after the lease had ended: the provider took that for a thief and ended the family.
    expect(server.tokenRequests('refresh_token').map(({ form }) => form.get('refresh_token'))).toEqual([
      dead,
      dead,
      dead,
    ]);
    expect(await server.isActive(successor)).toBe(false);

    await expect(vault.rejectAccessToken(key, 1)).rejects.toMatchObject({ code: 'reauthorization_required' });
    expect(server.tokenRequests('refresh_token')).toHaveLength(3);
    const condemned = events.flatMap((event) =>
      event.type === 'grant.reauthorization_required' ? [event.reason] : [],
    );
    expect(condemned).toEqual(['lost_rotation']);

    expect(await connect('client_secret_post')).toMatchObject({ state: 'active', generation: 2, reason: null });
    expect((await vault.rejectAccessToken(key, 2)).generation).toBe(3);
  });
});

function open(): Promise<Vault> {
  return openVault({
    home,
    database: scratch.database,
    unsafeAllowLoopbackProviders: 'a test',
    onEvent: (event) => events.push(event),
  });
}

/** Registers provider and app, and starts a flow. */
async function start(method: OidcClient['method']): Promise<URL> {
  const { clientId, secret } = server.client(method);
  await vault.providers.put({
    id: key.provider,
    issuer: server.issuer,
    clientAuthentication: method,
    // Without this, OpenID Connect drops the scope that brings a refresh token.
    authorizationParameters: { prompt: 'consent' },
    refreshToken: { rotation: 'strict', reuse: 'revokes_family' },
    api: { hosts: [server.issuer] },
  });
  await vault.apps.put('ours', { provider: key.provider, clientId, clientSecret: secret, redirectUri, scopes });
  return new URL((await vault.authorize({ ...key, redirectUri })).url);
}

async function connect(method: OidcClient['method']) {
  const url = await start(method);
  return vault.completeAuthorization(await new Browser().signIn(url.href, redirectUri));
}

/** A callback that must not become a grant, with so many exchanges of its code. */
async function refused(callback: string, exchanges: number): Promise<void> {
  await expect(vault.completeAuthorization(callback)).rejects.toMatchObject({ code: 'authorization_failed' });
  expect(server.tokenRequests('authorization_code')).toHaveLength(exchanges);
  expect(await vault.grants.get(key)).toBeNull();
}

/** Another process refreshes and is killed once the provider has acted, before the answer is sent. */
async function killInRefresh(): Promise<void> {
  const input = { home, database: scratch.database, generation: '1', provider: key.provider };
  const child: ChildProcess = spawn(process.execPath, [path.join(import.meta.dirname, 'refresh-process.ts')], {
    env: { ...process.env, NODE_OPTIONS: '', GRANTRY_TEST_INPUT: JSON.stringify(input) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
  });
  const reached = new Promise<void>((resolve) => {
    server.withholdRefresh = (response) => {
      child.kill('SIGKILL');
      child.once('exit', () => {
        response.destroy();
        resolve();
      });
    };
  });
  const ended = new Promise<never>((_, reject) => {
    child.once('exit', (code, signal) => {
      if (signal !== 'SIGKILL') reject(new Error(`the process ended by itself with ${code}: ${said}`));
    });
  });
  await Promise.race([reached, ended]);
}

/**
 * Moves the lease of the dead process, and the attempt that holds it, two minutes into the past: until a lease has ended,
 * its holder may be alive and bring its answer.
 */
async function endLease(): Promise<void> {
  const { strictLeaseMs: ms } = timesOf({});
  const store = await openStore({ database: scratch.database, world: systemWorld() });
  try {
    await store.db
      .updateTable('oauth_tokens')
      .set((column) => ({ lease_until: column('lease_until', '-', ms) }))
      .execute();
    await store.db
      .updateTable('grantry_attempts')
      .set((column) => ({ started_at: column('started_at', '-', ms) }))
      .execute();
  } finally {
    await store.close();
  }
}

/** Ends the pause after a first refusal. */
async function endPause(): Promise<void> {
  const store = await openStore({ database: scratch.database, world: systemWorld() });
  try {
    await store.db.updateTable('oauth_tokens').set({ retry_at: null }).execute();
    // A second refusal counts only some time after the first.
    const earlier = (column: 'started_at' | 'finished_at') => sql<number>`${sql.ref(column)} - 31000`;
    await store.db
      .updateTable('grantry_attempts')
      .set({ started_at: earlier('started_at'), finished_at: earlier('finished_at') })
      .execute();
  } finally {
    await store.close();
  }
}

async function sub(response: Response): Promise<unknown> {
  const body: unknown = await response.json();
  return typeof body === 'object' && body !== null ? Reflect.get(body, 'sub') : undefined;
}
