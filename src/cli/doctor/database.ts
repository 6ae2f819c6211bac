import { sql } from 'kysely';
import { schemaVersion, schemaVersionLatest } from '../../storage/migrations/migrate.ts';
import { readInstance } from '../../storage/statements/instance.ts';
import type { Store } from '../../storage/store.ts';
import type { Context } from '../context.ts';
import { quarantineAction } from '../quarantine.ts';
import { type Finding, fail, finding, ok, warn } from './finding.ts';

/** The clocks of two machines may differ by this much. */
const clockWarnMs = 2_000;
const clockFailMs = 30_000;

/** Checks an open database. */
export async function databaseFindings(context: Context, store: Store): Promise<readonly Finding[]> {
  const findings = [
    await finding('durability', () => (store.kind === 'sqlite' ? sqliteDurability(store) : postgresDurability(store))),
    await finding('clock', () => clock(context, store)),
  ];
  const version = await finding('schema', () => schema(store));
  findings.push(version);
  if (version.status === 'ok') findings.push(await finding('identity', () => identity(context, store)));
  return findings;
}

async function sqliteDurability(store: Store): Promise<Finding> {
  const journal = await value(store, 'journal_mode', sql`pragma journal_mode`);
  const synchronous = await value(store, 'synchronous', sql`pragma synchronous`);
  // 2 is FULL, 3 is EXTRA.
  if (journal === 'wal' && (synchronous === '2' || synchronous === '3'))
    return ok('durability', 'SQLite, WAL, synchronous=FULL');
  return fail(
    'durability',
    `SQLite, journal_mode=${journal}, synchronous=${synchronous}`,
    'Set WAL mode with synchronous=FULL: a power failure could lose a confirmed refresh.',
    'storage_unavailable',
  );
}

async function postgresDurability(store: Store): Promise<Finding> {
  const settings = {
    fsync: await value(store, 'fsync', sql`show fsync`),
    full_page_writes: await value(store, 'full_page_writes', sql`show full_page_writes`),
    synchronous_commit: await value(store, 'synchronous_commit', sql`show synchronous_commit`),
  };
  const version = await value(store, 'server_version', sql`show server_version`);
  const off = Object.entries(settings).filter(([, setting]) => setting === 'off');
  if (off.length === 0)
    return ok('durability', `PostgreSQL ${version}, synchronous_commit=${settings.synchronous_commit}`);
  return fail(
    'durability',
    `PostgreSQL ${version}, ${off.map(([name]) => `${name}=off`).join(', ')}`,
    'Turn it on in the server: a crash could lose a confirmed refresh.',
    'storage_unavailable',
  );
}

async function clock(context: Context, store: Store): Promise<Finding> {
  const { world } = context;
  if (store.kind === 'sqlite') {
    // One machine has one clock: only a jump back can be seen, by events with a future time.
    if ((await schemaVersion(store)) === 0) return ok('clock', 'the database has no times yet');
    const row = await store.db
      .selectFrom('grantry_events')
      .select((eb) => eb.fn.max('at').as('at'))
      .executeTakeFirst();
    const aheadMs = (row?.at ?? 0) - world.now();
    if (aheadMs > clockWarnMs) {
      return fail(
        'clock',
        `the newest event is ${Math.round(aheadMs / 1000)} s in the future`,
        'Set the clock of this machine.',
        'internal',
      );
    }
    return ok('clock', 'this machine');
  }
  const before = world.now();
  const database = await store.nowMs();
  const after = world.now();
  // The database answered between the two readings.
  const apartMs = Math.max(0, before - database, database - after);
  const detail =
    apartMs < 1_000 ? 'agrees with the database' : `${Math.round(apartMs / 1000)} s apart from the database's`;
  if (apartMs > clockFailMs) return fail('clock', detail, 'Set the clocks of both machines by NTP.', 'internal');
  return apartMs > clockWarnMs ? warn('clock', detail, 'Set the clocks of both machines by NTP.') : ok('clock', detail);
}

async function schema(store: Store): Promise<Finding> {
  const version = await schemaVersion(store);
  if (version === schemaVersionLatest) return ok('schema', `version ${version}`);
  if (version === 0) return fail('schema', 'there is none', 'Run: grantry init', 'not_found');
  if (version < schemaVersionLatest)
    return warn('schema', `version ${version} of ${schemaVersionLatest}`, 'Run: grantry migrate');
  return fail(
    'schema',
    `version ${version}, and this program knows only ${schemaVersionLatest}`,
    'Run a newer Grantry.',
    'invalid_request',
  );
}

async function identity(context: Context, store: Store): Promise<Finding> {
  const instance = await readInstance(store.db);
  if (instance === undefined)
    return fail('identity', 'the database has no identity yet', 'Run: grantry init', 'not_found');
  if (instance.quarantined_reason !== null) {
    return fail('identity', `quarantined: ${instance.quarantined_reason}`, quarantineAction, 'grant_quarantined');
  }
  if (instance.scrub_pending !== 0) {
    return warn('identity', 'plaintext of a take-over is not scrubbed yet', 'Run: grantry init');
  }
  const { installation } = context.settings;
  if (installation !== null && instance.installation !== null && installation !== instance.installation) {
    return fail(
      'identity',
      `the database belongs to the installation ${instance.installation}`,
      'Set GRANTRY_INSTALLATION to that name, or use another database.',
      'grant_quarantined',
    );
  }
  return ok(
    'identity',
    instance.installation === null ? 'no installation name' : `installation ${instance.installation}`,
  );
}

async function value(store: Store, name: string, query: ReturnType<typeof sql>): Promise<string> {
  const { rows } = await query.execute(store.db);
  const row: unknown = rows[0];
  const found: unknown = typeof row === 'object' && row !== null ? Reflect.get(row, name) : undefined;
  return String(found);
}
