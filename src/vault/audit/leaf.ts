import { canonicalJson } from '../../audit/canonical.ts';
import type { AuditEntryRow } from '../../storage/statements/audit/log.ts';

/** The shard of a database that is not split. */
export const onlyShard = 0;

/**
 * The text of an entry that its leaf hashes: canonical JSON of everything but the details, which stand in it by their hash.
 * So the details can be erased, and the tree stays whole.
 */
export function leafText(row: AuditEntryRow): string {
  return canonicalJson(leafMembers(row));
}

/** The members of the text, in the order of the contract. Those that are null are left out. */
export function leafMembers(row: AuditEntryRow): Record<string, string | number | Record<string, string>> {
  const { actor_kind: kind, actor_id: id, actor_name: name } = row;
  const members: Record<string, string | number | Record<string, string> | null> = {
    seq: row.seq,
    at: row.at,
    actor: name === null ? { kind, id } : { kind, id, name },
    source: row.source,
    action: row.action,
    tenant: row.tenant,
    provider: row.provider,
    account: row.account,
    generation: row.generation,
    outcome: row.outcome,
    code: row.code,
    reason: row.reason,
    count: row.count,
    first_at: row.span === null ? null : row.at - row.span,
    last_at: row.span === null ? null : row.at,
    details_hash: row.details_hash === null ? null : Buffer.from(row.details_hash).toString('base64url'),
  };
  const kept: Record<string, string | number | Record<string, string>> = {};
  for (const [member, value] of Object.entries(members)) if (value !== null) kept[member] = value;
  return kept;
}
