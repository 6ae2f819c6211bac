import { invalidRequest } from '../../base/errors.ts';
import { checkKey, type GrantKey } from '../../base/ids.ts';
import type { AuditEntry } from '../../schemas/audit.ts';
import type { HistoryItem, HistoryPage } from '../../schemas/history.ts';
import { type AttemptRow, attemptsOfGrant } from '../../storage/statements/attempts.ts';
import { findGrant } from '../../storage/statements/grants.ts';
import type { HistoryOptions } from '../audit-calls.ts';
import type { VaultContext } from '../context.ts';
import { listAudit } from './read.ts';

const minuteMs = 60_000;
const attemptsMax = 500;

/**
 * Tells a grant's life, the newest first: its changes, its refreshes, and who had its tokens in which minute. Refreshes of
 * replaced generations are told as changes only, since their attempts are removed after a while.
 */
export async function historyOf(
  context: VaultContext,
  keyInput: GrantKey,
  { cursor, limit }: HistoryOptions = {},
): Promise<HistoryPage> {
  const key = checkKey(keyInput);
  const [seq, before] = cursor?.split('~') ?? [];
  const { items, next } = await listAudit(context, { ...key, cursor: seq, limit });
  const row = await findGrant(context.store.db, key);
  const attempts =
    row === undefined
      ? []
      : await attemptsOfGrant(context.store.db, { tenant: key.tenant, grantId: row.id, limit: attemptsMax });
  // Each attempt belongs to the page of its time.
  const until = before === undefined ? Number.POSITIVE_INFINITY : timeIn(before);
  const from = next === null ? Number.NEGATIVE_INFINITY : (items.at(-1)?.at.getTime() ?? 0);
  const shown = attempts.filter(({ started_at }) => started_at >= from && started_at < until).map(attemptItem);
  const told = [...shown, ...perMinute(items)];
  const sorted = told.toSorted((one, other) => other.at.getTime() - one.at.getTime());
  return { items: sorted, next: next === null ? null : `${next}~${from}` };
}

function timeIn(text: string): number {
  if (/^\d{1,16}$/.test(text)) return Number(text);
  throw invalidRequest('The cursor is not one of this list.');
}

const handOuts: ReadonlySet<string> = new Set(['token.handed_out', 'api.called']);

/** Adds up hand-outs by caller and minute; every other entry stands for itself. */
function perMinute(entries: readonly AuditEntry[]): HistoryItem[] {
  const items: HistoryItem[] = [];
  const minutes = new Map<string, { item: HistoryItem; count: number }>();
  for (const entry of entries) {
    const { actor, source, action, generation } = entry;
    if (!handOuts.has(action)) {
      items.push(itemOf(entry, 'change', entry.count));
      continue;
    }
    const minute = Math.floor(entry.at.getTime() / minuteMs);
    const name = [minute, action, actor.kind, actor.id, source, generation].join('\0');
    const before = minutes.get(name);
    const count = (entry.count ?? 1) + (before?.count ?? 0);
    minutes.set(name, { item: before?.item ?? itemOf(entry, 'hand_out', count), count });
  }
  for (const { item, count } of minutes.values()) items.push({ ...item, count });
  return items;
}

function itemOf(entry: AuditEntry, kind: HistoryItem['kind'], count: number | null): HistoryItem {
  const { at, action, generation, outcome, reason, code, actor, source, details } = entry;
  return { at, kind, action, generation, outcome, reason: reason ?? code, actor, source, count, tookMs: null, details };
}

const good: ReadonlySet<string> = new Set(['saved', 'parked']);

function attemptItem(attempt: AttemptRow): HistoryItem {
  const { started_at, finished_at, outcome, detail, generation } = attempt;
  return {
    at: new Date(started_at),
    kind: 'attempt',
    action: `refresh.${outcome}`,
    generation,
    outcome: good.has(outcome) ? 'ok' : outcome === 'refused' ? 'refused' : 'failed',
    reason: detail,
    actor: null,
    source: null,
    count: null,
    tookMs: finished_at === null ? null : Math.max(0, finished_at - started_at),
    details: null,
  };
}
