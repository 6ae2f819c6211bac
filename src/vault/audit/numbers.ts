import type { WriteTx } from '../../storage/database.ts';
import {
  type AuditEntryRow,
  findActors,
  findSubjects,
  insertActors,
  insertSubjects,
  type NewEntryRow,
  nextNumber,
} from '../../storage/statements/audit/log.ts';
import { onlyShard } from './leaf.ts';

/**
 * Gives each entry the numbers of its actor and its subject. A log names the same ones again and again, so an entry holds
 * numbers only. The caller has locked the head of the tree, so no other process gives numbers.
 */
export async function withNumbers(tx: WriteTx, rows: readonly AuditEntryRow[]): Promise<NewEntryRow[]> {
  const actors = await numberActors(tx, rows);
  const subjects = await numberSubjects(tx, rows);
  return rows.map((row) => {
    const { actor_kind: _kind, actor_id: _id, actor_name: _name, source: _source, ...rest } = row;
    const { tenant: _tenant, provider: _provider, account: _account, ...entry } = rest;
    return { ...entry, actor: actors.get(actorName(row)) ?? 0, subject: subjects.get(subjectName(row)) ?? null };
  });
}

async function numberActors(tx: WriteTx, rows: readonly AuditEntryRow[]): Promise<Map<string, number>> {
  const actorIds = [...new Set(rows.map((row) => row.actor_id))];
  const sources = [...new Set(rows.map((row) => row.source))];
  const found = await findActors(tx, onlyShard, { actorIds, sources });
  const known = new Map(
    found.map(({ kind, actor_id, name, source, id }) => [nameOf(kind, actor_id, name, source), id]),
  );
  const unknown = [...new Map(rows.map((row) => [actorName(row), row]))].filter(([name]) => !known.has(name));
  if (unknown.length === 0) return known;
  const first = await nextNumber(tx, 'grantry_audit_actors', onlyShard);
  const made = unknown.map(([, row], at) => ({
    shard: onlyShard,
    id: first + at,
    kind: row.actor_kind,
    actor_id: row.actor_id,
    name: row.actor_name,
    source: row.source,
  }));
  await insertActors(tx, made);
  for (const [at, [name]] of unknown.entries()) known.set(name, first + at);
  return known;
}

async function numberSubjects(tx: WriteTx, rows: readonly AuditEntryRow[]): Promise<Map<string, number>> {
  const tenants = [...new Set(rows.flatMap(({ tenant }) => tenant ?? []))];
  const accounts = [...new Set(rows.flatMap(({ account }) => account ?? []))];
  const found = await findSubjects(tx, onlyShard, { tenants, accounts });
  const known = new Map(found.map(({ tenant, provider, account, id }) => [nameOf(tenant, provider, account), id]));
  const about = rows.filter(({ tenant, provider }) => tenant !== null || provider !== null);
  const unknown = [...new Map(about.map((row) => [subjectName(row), row]))].filter(([name]) => !known.has(name));
  if (unknown.length === 0) return known;
  const first = await nextNumber(tx, 'grantry_audit_subjects', onlyShard);
  const made = unknown.map(([, { tenant, provider, account }], at) => ({
    shard: onlyShard,
    id: first + at,
    tenant,
    provider,
    account,
  }));
  await insertSubjects(tx, made);
  for (const [at, [name]] of unknown.entries()) known.set(name, first + at);
  return known;
}

function actorName({ actor_kind, actor_id, actor_name, source }: AuditEntryRow): string {
  return nameOf(actor_kind, actor_id, actor_name, source);
}

function subjectName({ tenant, provider, account }: AuditEntryRow): string {
  return nameOf(tenant, provider, account);
}

function nameOf(...parts: readonly (string | null)[]): string {
  return JSON.stringify(parts);
}
