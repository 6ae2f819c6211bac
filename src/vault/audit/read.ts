import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { type AuditEntry, type AuditPage, actorKinds, auditOutcomes } from '../../schemas/audit.ts';
import { type AuditEntryRow, type EntryFilter, listEntries } from '../../storage/statements/audit/log.ts';
import { loadTenantKeys } from '../../storage/statements/tenant-keys.ts';
import type { AuditFilter } from '../audit-calls.ts';
import type { VaultContext } from '../context.ts';
import { onlyShard } from './leaf.ts';
import { type OpenedDetails, openDetails, sealerOf } from './place.ts';
import { sequenceEntries } from './sequence.ts';

const pageUsual = 100;

/** Lists entries. Those that wait get their places first, so that a caller finds what it has just done. */
export async function listAudit(context: VaultContext, filter: AuditFilter = {}): Promise<AuditPage> {
  const { limit = pageUsual } = filter;
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.pageItemsMax)
    throw invalidRequest(`The limit must be a whole number from 1 to ${limits.pageItemsMax}.`);
  for (const at of [filter.since, filter.until]) {
    if (at !== undefined && Number.isNaN(at.getTime())) throw invalidRequest('since and until must be valid dates.');
  }
  const newestFirst = filter.order !== 'asc';
  if (filter.cursor === undefined && context.guard.reason === null) await sequenceEntries(context);
  const seq = cursorOf(filter.cursor) ?? (newestFirst ? Number.MAX_SAFE_INTEGER : 0);
  const rows = await listEntries(context.store.db, rowFilter(filter), { seq, newestFirst, limit: limit + 1 });
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const opener = new DetailsOpener(context);
  const items: AuditEntry[] = [];
  for (const row of shown) items.push(await entryOf(row, opener));
  const hasMore = rows.length > limit && last !== undefined;
  return { items, next: hasMore ? String(newestFirst ? last.seq : last.seq + 1) : null };
}

function rowFilter({ tenant, provider, account, action, actor, since, until }: AuditFilter): EntryFilter {
  return {
    shard: onlyShard,
    tenant,
    provider,
    account,
    actions: listOf(action),
    actor,
    since: since?.getTime(),
    until: until?.getTime(),
  };
}

function listOf(given: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof given === 'string' ? [given] : given;
}

function cursorOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw invalidRequest('The cursor is not one of this list.');
  return Number(text);
}

/** Reads a row as people and programs see it. Erased details are null. */
async function entryOf(row: AuditEntryRow, opener: DetailsOpener): Promise<AuditEntry> {
  return {
    seq: row.seq,
    at: new Date(row.at),
    actor: {
      kind: actorKinds.find((kind) => kind === row.actor_kind) ?? 'user',
      id: row.actor_id,
      name: row.actor_name,
    },
    source: row.source,
    action: row.action,
    tenant: row.tenant,
    provider: row.provider,
    account: row.account,
    generation: row.generation,
    outcome: auditOutcomes.find((outcome) => outcome === row.outcome) ?? 'failed',
    code: row.code,
    reason: row.reason,
    count: row.count,
    firstAt: row.span === null ? null : new Date(row.at - row.span),
    lastAt: row.span === null ? null : new Date(row.at),
    details: (await opener.open(row))?.details ?? null,
  };
}

/** Opens the details of entries, as far as they are not erased. */
export class DetailsOpener {
  readonly #context: VaultContext;
  readonly #pins = new Map<string, PinnedTenant | null>();

  constructor(context: VaultContext) {
    this.#context = context;
  }

  /** Returns null for an entry without details, and for one whose details are erased. */
  async open(row: AuditEntryRow): Promise<OpenedDetails | null> {
    if (row.details === null) return null;
    const pinned = await this.#pin(sealerOf(row));
    if (pinned === null) return null;
    try {
      return openDetails(row, pinned);
    } catch (error) {
      if (isGrantryError(error, 'integrity_failed')) return null;
      throw error;
    }
  }

  /** A key that was shredded is not made again. */
  async #pin(sealer: string): Promise<PinnedTenant | null> {
    const known = this.#pins.get(sealer);
    if (known !== undefined) return known;
    const { store, keys } = this.#context;
    const isThere = (await loadTenantKeys(store.db, sealer)).length > 0;
    const pinned = isThere ? await keys.pin(sealer) : null;
    this.#pins.set(sealer, pinned);
    return pinned;
  }
}
