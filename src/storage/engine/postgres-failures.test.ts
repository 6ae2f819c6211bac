import { chmodSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { administer } from '../../../test/support/postgres.ts';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres-server.ts';
import { otherTls, testTls } from '../../../test/support/tls.ts';
import { systemWorld } from '../../base/system-world.ts';
import { openStore } from '../store.ts';
import { postgresFailure } from './postgres-failures.ts';

const world = systemWorld();
const canary = 'canary-9d1f';

async function failure(database: string): Promise<unknown> {
  return openStore({ database, world }).then(
    (store) => store.close(),
    (error: unknown) => error,
  );
}

function lasting(message: RegExp, action: RegExp): Record<string, unknown> {
  return {
    code: 'storage_unavailable',
    retryable: false,
    message: expect.stringMatching(message),
    action: expect.stringMatching(action),
  };
}

describe('a server of its own', () => {
  let server: PostgresServer;
  let files = '';
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(warning.message);

  /** Writes a file as the user of the server. */
  async function write(name: string, text: string): Promise<string> {
    const lines = text
      .trim()
      .split('\n')
      .map((line) => `('${line}')`);
    await administer(server.url, `copy (values ${lines.join(', ')}) to '${files}/${name}'`);
    return `${files}/${name}`;
  }

  async function present(name: string, { cert, key }: { cert: string; key: string }): Promise<void> {
    await administer(server.url, `alter system set ssl_cert_file = '${await write(`${name}.crt`, cert)}'`);
    chmodSync(await write(`${name}.key`, key), 0o600);
    await administer(server.url, `alter system set ssl_key_file = '${files}/${name}.key'`);
    await administer(server.url, 'alter system set ssl = on');
    await administer(server.url, 'select pg_reload_conf()');
  }

  async function letIn(...rules: string[]): Promise<void> {
    await write('pg_hba.conf', ['host all postgres all scram-sha-256', ...rules].join('\n'));
    await administer(server.url, 'select pg_reload_conf()');
  }

  /** The server's URL with other parts. */
  function at(change: (url: URL) => void): string {
    const url = new URL(server.url);
    url.username = 'app';
    url.password = canary;
    change(url);
    return url.href;
  }

  beforeAll(async () => {
    server = await startPostgres();
    const { Client } = await import('pg');
    const client = new Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>('show data_directory');
    await client.end();
    files = rows[0]?.data_directory ?? '';
    await administer(server.url, `create role app login password '${canary}'`);
    process.on('warning', note);
  });
  afterEach(() => {
    expect(warnings.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    process.off('warning', note);
    await server.remove();
  });

  test.each<[string, (url: URL) => void, RegExp, RegExp]>([
    ['a wrong password', (url) => (url.password = 'canary-wrong'), /refused the password.*28P01/, /GRANTRY_DATABASE/],
    ['a role that is not there', (url) => (url.username = 'nobody'), /refused the password/, /GRANTRY_DATABASE/],
    ['a wrong database', (url) => (url.pathname = '/nowhere'), /no such database.*3D000/, /Create the database/],
    ['TLS that is not offered', (url) => (url.search = 'sslmode=require'), /offers no TLS/, /ssl on/],
    ['an unknown host', (url) => (url.hostname = 'nowhere.invalid'), /host has no address.*ENOTFOUND/, /host/],
  ])('tells %s', async (_name, change, message, action) => {
    const error = await failure(at(change));
    expect(error).toMatchObject(lasting(message, action));
    expect(String(error)).not.toContain('canary');
  });

  test.each(['scram-sha-256', 'password'])('tells that no password is set, for %s', async (method) => {
    await letIn(`host all all all ${method}`);
    const bare = at((url) => (url.password = ''));
    await expect.poll(() => failure(bare)).toMatchObject(lasting(/wants a password, and none is set/, /PGPASSWORD/));
  });

  test('tells that nothing listens, which may pass', async () => {
    const error = await failure(at((url) => (url.port = '9')));
    expect(error).toMatchObject({ code: 'storage_unavailable', retryable: true });
    expect(String(error)).toMatch(/nothing listens.*ECONNREFUSED/);
  });

  test('tells a refusal by pg_hba.conf, and a role without login, in any language of the server', async () => {
    await letIn('hostssl all all all scram-sha-256');
    await expect.poll(() => failure(at(() => {}))).toMatchObject(lasting(/pg_hba\.conf/, /sslmode=verify-full/));
    await administer(server.url, 'create role mute nologin');
    await letIn('host all all all trust');
    await expect
      .poll(() => failure(at((url) => (url.username = 'mute'))))
      .toMatchObject(lasting(/no such role, or it may not log in/, /login/));
    expect(await failure(at((url) => (url.username = 'nobody')))).toMatchObject(lasting(/no such role/, /login/));
    await letIn('host all all all scram-sha-256');
  });

  test('with TLS: tells a certificate that is not trusted or for another host, and opens with its issuer', async () => {
    await present('own', testTls);
    const trusted = `sslrootcert=${files}/own.crt`;
    const untrusted = lasting(/certificate is not accepted: it signed itself.*DEPTH_ZERO/, /sslrootcert=FILE/);
    for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full']) {
      await expect.poll(() => failure(at((url) => (url.search = `sslmode=${mode}`)))).toMatchObject(untrusted);
      expect(await failure(at((url) => (url.search = `${trusted}&sslmode=${mode}`)))).toBeUndefined();
    }
    expect(await failure(at((url) => (url.search = 'sslmode=no-verify')))).toBeUndefined();
    expect(await failure(at((url) => (url.search = 'uselibpqcompat=true&sslmode=require')))).toBeUndefined();
    await letIn('hostssl all all all scram-sha-256');
    await expect.poll(() => failure(at(() => {}))).toMatchObject(lasting(/pg_hba\.conf/, /sslmode/));
    expect(await failure(at((url) => (url.search = `${trusted}&sslmode=require`)))).toBeUndefined();
    await present('other', otherTls);
    const search = `sslmode=verify-full&sslrootcert=${files}/other.crt`;
    const elsewhere = at((url) => Object.assign(url, { hostname: 'localhost', search }));
    await expect.poll(() => failure(elsewhere)).toMatchObject(lasting(/it is for another host/, /Name the host/));
  });
});

describe('a URL', () => {
  test.each([
    ['an unescaped @ in the password', `postgres://app:p@${canary}@db.example/app`],
    ['an unescaped # in the password', `postgres://app:p#${canary}@db.example/app`],
    ['a file of an issuer that is not there', 'postgres://app@db.example/app?sslrootcert=/no/such/file'],
    ['verify-ca without an issuer', 'postgres://app@db.example/app?uselibpqcompat=true&sslmode=verify-ca'],
  ])('with %s is refused before anything is looked up', async (_name, database) => {
    const error = await failure(database);
    expect(error).toMatchObject({ code: 'invalid_request' });
    expect(String(error)).not.toContain(canary);
  });
});

describe('a failure', () => {
  test.each([
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      /its issuer is not trusted here \(SELF_SIGNED_CERT_IN_CHAIN\)/,
      /NODE_EXTRA_CA_CERTS/,
    ],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /its issuer is not trusted/, /sslrootcert/],
    ['CERT_HAS_EXPIRED', /it has expired/, /Renew/],
  ])('with the code %s', (code, message, action) => {
    expect(postgresFailure(Object.assign(new Error('x'), { code }))).toMatchObject(lasting(message, action));
  });

  test.each([
    ['42501', 'storage_unavailable', false, 'lacks a privilege'],
    ['53300', 'storage_unavailable', true, 'no free connection'],
    ['57P03', 'storage_unavailable', true, 'starting'],
    ['25006', 'storage_unavailable', true, 'standby'],
    ['0A000', 'internal', false, 'function or feature'],
    ['42883', 'internal', false, 'function or feature'],
    ['22P02', 'internal', false, 'a statement'],
  ])('with the SQLSTATE %s is %s', (code, expected, retryable, words) => {
    const error = postgresFailure(Object.assign(new Error(canary), { code, severity: 'ERROR' }));
    expect(error).toMatchObject({ code: expected, retryable, message: expect.stringContaining(words) });
    expect(error.message).not.toContain(canary);
  });
});
