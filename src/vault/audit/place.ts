import { z } from 'zod';
import { detailsHash } from '../../audit/export-file.ts';
import { Secret } from '../../base/secret.ts';
import type { World } from '../../base/world.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import { systemTenant } from '../../crypto/tenant-keys.ts';
import type { AuditEntryRow } from '../../storage/statements/audit/log.ts';
import type { CheckedEntryRow } from '../../storage/statements/audit/queue.ts';
import { onlyShard } from './leaf.ts';

const saltBytes = 16;

/**
 * The owner of the key that seals the details. It is not the key of the tenant's tokens: that one is deleted with the last
 * grant, and the log must still say who ended it. A refused request may name any tenant, so it must not make a key.
 */
export function sealerOf({ tenant, action }: { readonly tenant: string | null; readonly action: string }): string {
  return tenant === null || tenant === systemTenant || action === refusedAction ? systemTenant : `$audit/${tenant}`;
}

/** The action of requests that were refused. */
export const refusedAction = 'request.refused';

/** An entry of the queue as it was read. The facts are null if another program wrote or changed the row. */
export interface ReadEntry {
  readonly row: CheckedEntryRow;
  readonly facts: z.output<typeof queuedFacts> | null;
  readonly sealer: string;
}

/** Reads an entry of the queue. */
export function readQueued(row: CheckedEntryRow): ReadEntry {
  if (!row.isIntact) return { row, facts: null, sealer: systemTenant };
  const facts = queuedFacts.parse(JSON.parse(row.entry));
  return { row, facts, sealer: sealerOf({ tenant: row.tenant, action: facts.action }) };
}

/** Makes the row of an entry at its place. The details are salted and sealed. */
export function placed(seq: number, read: ReadEntry, pinned: PinnedTenant, world: World): AuditEntryRow {
  const { row: queued, facts } = read;
  if (facts === null) return alteredRow(seq, queued);
  return {
    ...blank,
    seq,
    at: timeOf(queued.at),
    tenant: queued.tenant === systemTenant ? null : queued.tenant,
    provider: facts.provider ?? null,
    account: facts.account ?? null,
    generation: facts.generation ?? null,
    action: facts.action,
    actor_kind: facts.actor.kind,
    actor_id: facts.actor.id,
    actor_name: facts.actor.name,
    source: facts.source,
    outcome: facts.outcome,
    code: facts.code ?? null,
    reason: facts.reason ?? null,
    count: facts.count ?? null,
    span: facts.first_at === undefined ? null : spanOf(facts.first_at, queued.at),
    ...sealDetails(seq, queued.details, pinned, world),
  };
}

const queuedFacts = z.object({
  actor: z.object({ kind: z.string(), id: z.string(), name: z.string().nullable() }),
  source: z.string(),
  action: z.string(),
  provider: z.string().optional(),
  account: z.string().optional(),
  generation: z.number().optional(),
  outcome: z.string(),
  code: z.string().optional(),
  reason: z.string().optional(),
  count: z.number().optional(),
  first_at: z.number().optional(),
  last_at: z.number().optional(),
});

const blank = {
  shard: onlyShard,
  tenant: null,
  provider: null,
  account: null,
  generation: null,
  actor: 0,
  subject: null,
  actor_name: null,
  code: null,
  reason: null,
  count: null,
  span: null,
  details_hash: null,
  details: null,
};

/** The latest time that a JavaScript date can hold. A writer of the database may have put any number there. */
const timeMax = 8_640_000_000_000_000;

function timeOf(at: number): number {
  return Number.isSafeInteger(at) && at >= 0 && at <= timeMax ? at : 0;
}

/** The largest number that the column holds. A clock may have been set while hand-outs were counted. */
const spanMax = 2 ** 31 - 1;

function spanOf(firstAt: number, at: number): number {
  return Math.min(spanMax, Math.max(0, Math.floor(timeOf(at) - timeOf(firstAt))));
}

/** The row of an entry that another program wrote or changed: the log says so, and repeats nothing of it. */
function alteredRow(seq: number, { at }: Pick<CheckedEntryRow, 'at'>): AuditEntryRow {
  return {
    ...blank,
    seq,
    at: timeOf(at),
    action: 'audit.entry_altered',
    actor_kind: 'worker',
    actor_id: 'audit',
    source: 'worker',
    outcome: 'failed',
    code: 'integrity_failed',
  };
}

function sealDetails(
  seq: number,
  details: string,
  pinned: PinnedTenant,
  world: World,
): Pick<AuditEntryRow, 'details' | 'details_hash'> {
  if (details === '{}') return { details: null, details_hash: null };
  const salt = Buffer.from(world.randomBytes(saltBytes)).toString('base64url');
  const salted = JSON.stringify([salt, details]);
  return { details: packed(pinned.seal(detailsPlace(seq), new Secret(salted))), details_hash: detailsHash(salted) };
}

const sealPrefix = 'gry1.';

/** A seal as bytes: a log has millions of rows, and text takes a third more. */
function packed(sealed: string): Uint8Array {
  return Buffer.from(sealed.slice(sealPrefix.length), 'base64url');
}

function unpacked(bytes: Uint8Array): string {
  return `${sealPrefix}${Buffer.from(bytes).toString('base64url')}`;
}

function detailsPlace(seq: number) {
  return { table: 'grantry_audit_entries', row: `${onlyShard}/${seq}`, column: 'details', generation: 0 };
}

const saltedDetails = z.tuple([z.string(), z.string()]);
const anyDetails = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

export interface OpenedDetails {
  readonly details: z.output<typeof anyDetails>;
  /** The text whose hash the leaf holds. */
  readonly salted: string;
}

/** Opens the details of an entry. @throws {GrantryError} `integrity_failed` if they do not open: they may be erased */
export function openDetails(row: AuditEntryRow, pinned: PinnedTenant): OpenedDetails | null {
  if (row.details === null) return null;
  const salted = pinned.open(detailsPlace(row.seq), unpacked(row.details)).reveal();
  const [, text] = saltedDetails.parse(JSON.parse(salted));
  return { details: anyDetails.parse(JSON.parse(text)), salted };
}
