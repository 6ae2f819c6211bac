import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { systemWorld } from '../../src/base/system-world.ts';
import { scratchDatabase, scratchSqlite } from '../support/postgres.ts';
import { askForeign, canary, plainRows, plainTable, runForeign } from '../support/take-over/foreign-tables.ts';
import { openIn, scratchHome } from '../support/take-over/home.ts';
import { plaintextFiles } from '../support/take-over/raw-files.ts';

const databases = [
  ['sqlite', async () => scratchSqlite()],
  ['postgres', scratchDatabase],
] as const;

const rows = 3_000;

/** When a process is killed: some milliseconds after it began, or after it has said that many batches were sealed. */
type Kill = { afterMs: number } | { afterBatches: number; thenMs: number };

const kills: readonly Kill[] = [
  ...[5, 150, 600].map((afterMs) => ({ afterMs })),
  ...[0, 5].map((thenMs) => ({ afterBatches: 2, thenMs })),
  // The last batch: what is left is the scrubbing.
  ...[0, 20].map((thenMs) => ({ afterBatches: 15, thenMs })),
];

describe.each(databases)('%s', (kind, scratch) => {
  test('a take-over that is killed again and again goes on where it was, and loses nothing', async () => {
    await using place = await scratch();
    using home = scratchHome();
    await runForeign(place.database, [plainTable[kind], plainRows(kind, rows)]);
    const reached: number[] = [];
    for (const kill of kills) reached.push(await takeOver(place.database, home.path, kill));
    await takeOver(place.database, home.path, null);
    console.log(`${kind}: killed with ${reached.join(', ')} of ${rows} rows sealed`);
    await using vault = await openIn(place.database, home);
    for (const i of [0, 1, 199, 200, 201, rows - 1]) {
      const token = await vault.getAccessToken({ tenant: `tenant-${i}`, provider: 'zoho_crm' });
      expect(token).toMatchObject({ accessToken: `1000.${canary}access${i}`, generation: 1 });
    }
    const [sums] = await askForeign(
      place.database,
      `select count(*) as n, sum(generation) as generations, count(distinct client_id) as tenants,
        (select count(*) from grantry_events where type = 'grant.taken_over') as events,
        (select scrub_pending from grantry_instance) as pending from oauth_tokens`,
    );
    expect(Object.values(sums ?? {}).map(Number)).toEqual([rows, rows, rows, rows, 0]);
    expect(await plaintextFiles(place.database, canary)).toEqual([]);
  });

  test('four processes at once share the work', async () => {
    await using place = await scratch();
    using home = scratchHome();
    await runForeign(place.database, [plainTable[kind], plainRows(kind, 1_000)]);
    await Promise.all([1, 2, 3, 4].map(() => takeOver(place.database, home.path, null)));
    const [sums] = await askForeign(
      place.database,
      `select count(*) as n, sum(generation) as generations,
        (select count(*) from grantry_events where type = 'grant.taken_over') as events,
        (select scrub_pending from grantry_instance) as pending from oauth_tokens`,
    );
    expect(Object.values(sums ?? {}).map(Number)).toEqual([1_000, 1_000, 1_000, 0]);
    expect(await plaintextFiles(place.database, canary)).toEqual([]);
  });

  test('while others read, the scrubbing waits for the next start, and the database remembers it', async () => {
    await using place = await scratch();
    using home = scratchHome();
    await runForeign(place.database, [plainTable[kind], plainRows(kind, 400)]);
    const reports: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void reports.push(message) };
    let holding: ReturnType<typeof hold> | undefined;
    const first = await openIn(place.database, home, {
      takeOver: true,
      logger,
      // Short waits, so that it gives up soon.
      world: systemWorld({ timeScale: 0.02 }),
      installation: 'test',
      onTakeOver: () => {
        holding ??= hold(place.database);
      },
    });
    const reader = await holding;
    await first.close();
    const pending = async (): Promise<number> => {
      const [row] = await askForeign(place.database, 'select scrub_pending from grantry_instance');
      return Number(row?.['scrub_pending']);
    };
    expect(await pending()).toBe(1);
    expect(reports).toContainEqual(expect.stringContaining('next start'));
    await reader?.release();
    await (await openIn(place.database, home)).close();
    expect(await pending()).toBe(0);
    expect(await plaintextFiles(place.database, canary)).toEqual([]);
  });

  test('plaintext that a killed run left is not handed out, fails with the reason, and affects no other grant', async () => {
    await using place = await scratch();
    using home = scratchHome();
    await runForeign(place.database, [plainTable[kind], plainRows(kind, 3)]);
    await (await openIn(place.database, home, { takeOver: true })).close();
    // As if the run had died before it reached these rows.
    await runForeign(place.database, [
      `update oauth_tokens set generation = 0, access_token = '${canary}', refresh_token = '${canary}' where client_id <> 'tenant-0'`,
      'update grantry_instance set scrub_pending = 1',
    ]);
    await using vault = await openIn(place.database, home);
    expect((await vault.getAccessToken({ tenant: 'tenant-0', provider: 'zoho_crm' })).generation).toBe(1);
    const left = { tenant: 'tenant-1', provider: 'zoho_crm' };
    await expect(vault.getAccessToken(left)).rejects.toMatchObject({
      code: 'integrity_failed',
      action: expect.stringContaining('grantry init'),
    });
    await vault.apps.put('crm', { provider: 'zoho_crm', clientId: 'id', clientSecret: 'secret' });
    await vault.storeTokens(left, { refreshToken: 'new' });
    expect(await vault.grants.get(left)).toMatchObject({ generation: 1, state: 'active' });
    await vault.close();
    await (await openIn(place.database, home, { takeOver: true })).close();
    await using after = await openIn(place.database, home);
    expect((await after.getAccessToken({ tenant: 'tenant-2', provider: 'zoho_crm' })).accessToken).toBe(canary);
    expect(await plaintextFiles(place.database, canary)).toEqual([]);
  });
});

test('on PostgreSQL the scrubbing waits for an old snapshot that locks nothing', async () => {
  await using place = await scratchDatabase();
  using home = scratchHome();
  await runForeign(place.database, [plainTable.postgres, plainRows('postgres', 400)]);
  const report = new Client({ connectionString: place.database });
  report.on('error', () => {});
  await report.connect();
  await report.query('begin isolation level repeatable read; select 1');
  // Short waits, so that it gives up soon.
  const world = systemWorld({ timeScale: 0.02 });
  await (await openIn(place.database, home, { takeOver: true, logger: silentLogger, world })).close();
  const pending = async () => await askForeign(place.database, 'select scrub_pending from grantry_instance');
  expect(await pending()).toEqual([{ scrub_pending: '1' }]);
  await report.end();
  await (await openIn(place.database, home)).close();
  expect(await pending()).toEqual([{ scrub_pending: '0' }]);
  expect(await plaintextFiles(place.database, canary)).toEqual([]);
});

/** Holds a database as a long-running report would. */
async function hold(database: string): Promise<{ release(): Promise<void> }> {
  const query = 'select count(*) from oauth_tokens';
  if (database.startsWith('sqlite:')) {
    const db = new DatabaseSync(database.slice('sqlite:'.length));
    db.exec(`begin; ${query}`);
    db.prepare(query).get();
    return { release: async () => db.close() };
  }
  const client = new Client({ connectionString: database });
  await client.connect();
  await client.query(`begin; ${query}`);
  return { release: () => client.end() };
}

/** Runs a take-over in a process of its own. Returns how many rows it said were sealed. */
async function takeOver(database: string, home: string, kill: Kill | null): Promise<number> {
  const program = ['--disable-warning=GRANTRY_NEW_VAULT', join(import.meta.dirname, 'take-over-process.ts')];
  const child = spawn(process.execPath, program, {
    env: { ...process.env, DATABASE: database, HOME_OF_VAULT: home },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  const killIn = (ms: number): void => {
    setTimeout(() => child.kill('SIGKILL'), ms);
  };
  child.stdin.on('error', () => {});
  child.stdout.on('data', (chunk) => {
    const before = batchesIn(output);
    output += String(chunk);
    if (output === 'ready\n') {
      child.stdin.write('go\n');
      if (kill !== null && 'afterMs' in kill) killIn(kill.afterMs);
    }
    if (kill === null || !('afterBatches' in kill)) return;
    if (before < kill.afterBatches && batchesIn(output) >= kill.afterBatches) killIn(kill.thenMs);
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  await once(child, 'close');
  if (kill === null) expect([child.exitCode, errors]).toEqual([0, '']);
  return Number(output.match(/\d+(?=\n(done\n)?$)/)?.[0] ?? 0);
}

function batchesIn(output: string): number {
  return output.split('sealed ').length - 1;
}
