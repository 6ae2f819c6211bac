/** Copies of databases as managed services make them, each by what makes it different, and servers that tell little. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Bench, codeOf, makeBench } from '../../../test/support/bench.ts';
import { administer, type ScratchDatabase, scratchDatabase } from '../../../test/support/postgres.ts';
import type { VaultOptions } from '../options.ts';
import type { Vault } from '../types.ts';

let directory: string;
let bench: Bench;
let scratch: ScratchDatabase;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'grantry-places-'));
  bench = await makeBench({ profiles: ['strict'] });
  scratch = await scratchDatabase();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  await scratch.drop();
  rmSync(directory, { recursive: true, force: true });
});

/** Opens the database from a home of its own: an empty home must not make a copy pass for the original. */
async function open(options: Partial<VaultOptions> = {}): Promise<Vault> {
  const home = join(directory, randomUUID());
  mkdirSync(home);
  const place = { home, spool: join(home, 'spool'), rootKey: `file:${join(directory, 'root.key')}` };
  const { vault } = await bench.open({ ...place, database: scratch.database, ...options });
  return vault;
}

const name = (): string => new URL(scratch.database).pathname.slice(1);
const key = { tenant: 'acme', provider: 'strict' };
const connected = (vault: Vault) => bench.connect(vault, { ...key, expiresIn: 3_600 });

async function expectRefreshes(vault: Vault): Promise<void> {
  expect(vault.quarantine).toBeNull();
  // A younger token would count as just refreshed.
  await bench.jump(700_000);
  const { generation } = await vault.getAccessToken(key, { minValidity: 0 });
  expect((await vault.rejectAccessToken(key, generation)).generation).toBe(generation + 1);
}

async function expectQuarantined(vault: Vault): Promise<void> {
  await bench.jump(700_000);
  const before = bench.simulator.history.events().length;
  expect(vault.quarantine).toContain('made elsewhere');
  expect(await codeOf(vault.rejectAccessToken(key, (await vault.getAccessToken(key)).generation))).toBe(
    'grant_quarantined',
  );
  expect(bench.simulator.history.events()).toHaveLength(before);
}

async function isThereNothing(): Promise<boolean> {
  const client = new Client({ connectionString: scratch.database });
  await client.connect();
  try {
    return (await client.query("select 1 from pg_tables where schemaname = 'public'")).rowCount === 0;
  } finally {
    await client.end();
  }
}

/** Replaces a function of PostgreSQL only in this database. */
async function replace(signature: string, returns: string, body: string): Promise<void> {
  const [plain = ''] = signature.split('(');
  await administer(
    scratch.database,
    `set allow_system_table_mods = on; alter function pg_catalog.${signature} rename to ${plain}_original;
     create function pg_catalog.${signature} returns ${returns} language plpgsql as $$ begin ${body} end $$`,
  );
}

describe('a branch of Neon', () => {
  const moveTo = (timeline: string): Promise<void> =>
    administer(scratch.database, `alter database ${name()} set "neon.timeline_id" = '${timeline}'`);

  test('is told from its parent by the timeline', async () => {
    await moveTo('a1');
    await connected(await open());
    await expectRefreshes(await open());
    await moveTo('b2');
    await expectQuarantined(await open());
    await moveTo('a1');
    // The reason stays: only an operator knows which of the two lives on.
    expect((await open()).quarantine).not.toBeNull();
  });

  test('is told from a parent that an older version noted without its timeline', async () => {
    await connected(await open());
    await moveTo('a1');
    await expectRefreshes(await open());
    await moveTo('b2');
    await expectQuarantined(await open());
  });
});

describe('Aurora', () => {
  const cluster = (writer: string, ...members: readonly string[]): Promise<void> =>
    administer(
      scratch.database,
      `create or replace function aurora_db_instance_identifier() returns text language sql as $$ select '${writer}' $$;
       create or replace function aurora_replica_status() returns table (server_id text) language sql
         as $$ values ${[writer, ...members].map((member) => `('${member}')`).join(', ')} $$`,
    );
  const refuseWal = (): Promise<void> =>
    replace(
      'pg_current_wal_lsn()',
      'pg_lsn',
      "raise exception using errcode = '55000', message = 'WAL control functions cannot be executed';",
    );

  test('refuses to tell its log, and is opened; its failovers and new instances are no copies', async () => {
    await refuseWal();
    await cluster('one', 'two');
    await connected(await open());
    await cluster('two', 'one');
    await expectRefreshes(await open());
    await cluster('two', 'three');
    await expectRefreshes(await open());
    await cluster('three', 'four');
    await expectRefreshes(await open());
  });

  test('a clone of a cluster has instances of its own', async () => {
    await refuseWal();
    await cluster('one', 'two');
    await connected(await open());
    await cluster('one-restored');
    await expectQuarantined(await open());
  });
});

describe('a role that may not read the identity of its server', () => {
  const hide = (): Promise<void> =>
    administer(
      scratch.database,
      `create role ${name()} login password 'plain'; grant create, usage on schema public to ${name()};
       revoke execute on function pg_control_system() from public`,
    );
  const asRole = (): string => {
    const url = new URL(scratch.database);
    url.username = name();
    url.password = 'plain';
    return url.href;
  };
  afterEach(() => administer(scratch.database, `drop owned by ${name()}; drop role ${name()}`));

  test('makes no vault without a name for the installation, and leaves nothing half made', async () => {
    await hide();
    await expect(open({ database: asRole() })).rejects.toMatchObject({
      code: 'invalid_request',
      action: expect.stringContaining('GRANTRY_INSTALLATION'),
    });
    expect(await isThereNothing()).toBe(true);
  });

  test('keeps grants under a name; a process without it spends nothing', async () => {
    await hide();
    const named = { database: asRole(), installation: 'production' };
    await connected(await open(named));
    await expectRefreshes(await open(named));
    const nameless = await open({ database: asRole() });
    expect(nameless.quarantine).toContain('GRANTRY_INSTALLATION');
    await bench.jump(700_000);
    expect(await codeOf(nameless.rejectAccessToken(key, 2))).toBe('grant_quarantined');
    await expectRefreshes(await open(named));
  });
});

describe('an engine that only speaks like PostgreSQL', () => {
  beforeEach(() => replace('version()', 'text', "return 'CockroachDB CCL v25.1.2';"));

  test('is refused by name, and nothing is made', async () => {
    await expect(open()).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('CockroachDB'),
      action: expect.stringContaining('GRANTRY_UNTRIED_ENGINE=1'),
    });
    expect(await isThereNothing()).toBe(true);
  });

  test('is opened with a warning where the operator wants it', async () => {
    const warned: unknown[] = [];
    const logger = {
      debug: () => {},
      info: () => {},
      error: () => {},
      warn: (...line: unknown[]) => warned.push(line),
    };
    await connected(await open({ untriedEngine: true, logger }));
    expect(JSON.stringify(warned)).toContain('CockroachDB');
  });
});
