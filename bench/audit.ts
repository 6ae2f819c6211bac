/**
 * Measures the audit log: a million entries on each database, of which one in ten has details, as a mix of hand-outs and
 * refreshes has. It tells what they take on the disk, what their order costs, and how long the check of all of them takes.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { withDatabases } from '../scripts/scratch-postgres.ts';
import { openVault } from '../src/index.ts';
import { sequenceEntries } from '../src/vault/audit/sequence.ts';
import type { NewEntry } from '../src/vault/audit-entry.ts';
import { changing } from '../src/vault/changing.ts';
import type { VaultContext } from '../src/vault/context.ts';
import { internalsOf } from '../src/vault/internals.ts';
import { type Aim, table } from './report.ts';

const entries = Number(process.env['BENCH_AUDIT_ENTRIES'] ?? 1_000_000);
const batch = 1_000;
const million = 1_000_000;

/** Measures, prints the table, and returns the aims. */
export async function benchAudit(): Promise<Aim[]> {
  const rows: string[][] = [];
  const aims: Aim[] = [];
  await withDatabases(async (name, fresh) => {
    const home = mkdtempSync(path.join(tmpdir(), 'grantry-bench-audit-'));
    try {
      const given = await fresh();
      const database = given === 'sqlite' ? `sqlite:${home}/grantry.db` : given;
      const seen = await measure(home, database);
      rows.push([
        name,
        `${seen.megabytes.toFixed(0)} MB`,
        `${seen.placeUs.toFixed(0)} µs`,
        `${seen.verifySeconds.toFixed(1)} s`,
        `${seen.foundSeconds.toFixed(1)} s`,
      ]);
      aims.push(
        { what: `audit, ${name}: megabytes of a million entries`, value: seen.megabytes, most: 250 },
        {
          what: `audit, ${name}: seconds to find a change among a million entries`,
          value: seen.foundSeconds,
          most: 15,
        },
      );
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
  const head = [
    `audit log, of ${entries} for a million`,
    'disk',
    'order of an entry',
    'check',
    'a changed entry found',
  ];
  process.stdout.write(`\n${table(head, rows)}\n`);
  return aims;
}

async function measure(home: string, database: string) {
  await using vault = await openVault({ home, database, rootKey: `file:${home}/root.key`, backgroundRefresh: false });
  const context = internalsOf(vault).open();
  const before = await bytesOf(context, database);
  const placeUs = await fill(context);
  const share = million / entries;
  const megabytes = (((await bytesOf(context, database)) - before) * share) / million;
  const verifySeconds = (await secondsOf(() => vault.audit.verify())) * share;
  await change(context);
  const foundSeconds = await secondsOf(async () => {
    const { finding } = await vault.audit.verify();
    if (finding?.seq !== entries - 10) throw new Error(`the changed entry was not found: ${JSON.stringify(finding)}`);
  });
  return { megabytes, placeUs, verifySeconds, foundSeconds: foundSeconds * share };
}

async function secondsOf(run: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await run();
  return (performance.now() - from) / 1_000;
}

/** Makes entries, and returns the microseconds that one takes to get its place. */
async function fill(context: VaultContext): Promise<number> {
  const { audit } = context;
  if (audit === undefined) throw new Error('the vault has no log');
  let placing = 0;
  for (let made = 0; made < entries; made += batch) {
    const list = Array.from({ length: batch }, (_, at) => ({ acting: actingOf(made + at), entry: entryOf(made + at) }));
    await changing(context, ({ tx }) => audit.entries(tx, list));
    placing += await secondsOf(() => sequenceEntries(context));
  }
  return (placing * million) / entries;
}

function actingOf(at: number) {
  return {
    actor: {
      kind: 'key' as const,
      id: `019aa1b2-7c3d-7000-8000-${String(at % 90).padStart(12, '0')}`,
      name: 'billing',
    },
    source: `http 10.0.0.${at % 200}`,
  };
}

function entryOf(at: number): NewEntry {
  const isRefresh = at % 10 === 0;
  const time = 1_790_000_000_000 + at * 10;
  return {
    at: time,
    tenant: `customer-${at % 5_000}`,
    provider: 'zoho_crm',
    account: 'default',
    generation: 1 + (at % 700),
    action: isRefresh ? 'grant.refreshed' : 'token.handed_out',
    outcome: 'ok',
    code: null,
    reason: null,
    ...(isRefresh ? {} : { count: 12, firstAt: time - 800, lastAt: time }),
    details: isRefresh ? { fingerprint: 'ab12'.repeat(8), access_fingerprint: 'cd34'.repeat(8) } : {},
  };
}

/** Changes one entry, as a writer of the database does who has dropped the triggers. */
async function change({ store }: VaultContext): Promise<void> {
  const drop =
    store.kind === 'sqlite'
      ? 'drop trigger grantry_audit_entries_update'
      : 'drop trigger grantry_audit_entries_final on grantry_audit_entries';
  await store.transaction(async (tx) => {
    await sql.raw(drop).execute(tx);
    await sql`update grantry_audit_entries set at = at + 1 where seq = ${entries - 10}`.execute(tx);
  });
}

async function bytesOf({ store }: VaultContext, database: string): Promise<number> {
  if (store.kind === 'sqlite') {
    await sql`pragma wal_checkpoint(truncate)`.execute(store.db);
    return statSync(database.slice('sqlite:'.length)).size;
  }
  // The rest of the queue is empty room, which an autovacuum returns to it.
  const { rows } = await sql<{ bytes: string }>`select sum(pg_total_relation_size(oid)) as bytes from pg_class
    where relkind = 'r' and relname like 'grantry_audit%' and relname <> 'grantry_audit_queue'`.execute(store.db);
  return Number(rows[0]?.bytes ?? 0);
}
