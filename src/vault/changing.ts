import { uuidSequence } from '../base/ids.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import type { World } from '../base/world.ts';
import { systemTenant } from '../crypto/tenant-keys.ts';
import type { WriteTx } from '../storage/database.ts';
import { type EventMark, type EventRow, insertEvents } from '../storage/statements/events.ts';
import type { GrantRow } from '../storage/statements/grants.ts';
import { isUniqueViolation, type Store } from '../storage/store.ts';
import type { AuditWriter } from './audit-writer.ts';
import type { VaultEvent, VaultEventType } from './types.ts';

/** The parts that `changing` needs. They exist before the rest of the vault is open. */
export interface ChangeContext {
  readonly world: World;
  readonly store: Store;
  readonly logger: Logger;
  readonly onEvent: ((event: VaultEvent) => void) | undefined;
  readonly newEventId: () => string;
  /** Tells the guard of an event that was committed. */
  readonly noteEvent: (event: EventMark) => Promise<void>;
  /** Writes the audit log; undefined while the vault is being opened. */
  readonly audit: AuditWriter | undefined;
}

/** Makes the context of changes in a store. */
export function changeContext(
  store: Store,
  world: World,
  { logger = silentLogger, onEvent, noteEvent = async () => {}, audit }: Partial<ChangeContext> = {},
): ChangeContext {
  return { store, world, logger, onEvent, newEventId: uuidSequence(world), noteEvent, audit };
}

/** The kinds of change that are not about a grant. */
export const otherChangeTypes = [
  'app.put',
  'app.removed',
  'audit.failed',
  'audit.key_created',
  'key.created',
  'key.revoked',
  'key.updated',
  'provider.put',
  'provider.removed',
  'session.created',
  'session.failed',
  'slots.filling',
  'tenant.shredded',
  'vault.adopted',
  'vault.quarantined',
] as const;

export type OtherChangeType = (typeof otherChangeTypes)[number];

/** Names, numbers and fingerprints; never a secret. */
type Details = Readonly<Record<string, string | number | boolean | null>>;

/** A grant as it was before a change; `state` is null for a new one. */
export type ChangedGrant = Pick<GrantRow, 'client_id' | 'id' | 'provider' | 'account' | 'generation'> & {
  readonly state: GrantRow['state'] | null;
};

/** A change of a grant's state. */
export interface GrantChange {
  readonly type: VaultEventType;
  readonly to: GrantRow['state'];
  readonly reason: string | null;
  /** By default the grant's own. */
  readonly generation?: number;
  readonly details?: Details;
}

/** A change of something that is not a grant. */
export interface OtherChange {
  readonly type: OtherChangeType;
  /** Left out for a change of the installation. */
  readonly tenant?: string;
  readonly provider?: string;
  readonly account?: string;
  readonly reason?: string;
  readonly details?: Details;
}

/** A transaction that makes changes and records them as events. */
export interface ChangeTransaction {
  readonly tx: WriteTx;
  readonly record: (grant: ChangedGrant, change: GrantChange) => void;
  readonly recordOther: (change: OtherChange) => void;
}

type NewEvent = Omit<EventRow, 'id' | 'at'>;

/**
 * Runs one transaction. Every insert, update and delete of the vault goes through here. The recorded changes become
 * events in the same transaction. The vault's event listener gets them after the commit.
 */
export async function changing<T>(
  context: ChangeContext,
  run: (transaction: ChangeTransaction) => Promise<T>,
): Promise<T> {
  let events: NewEvent[] = [];
  let last: EventMark | undefined;
  const changed = context.store.transaction(async (tx) => {
    // The store may run a rolled-back transaction again, so the events of the first run are dropped.
    events = [];
    const returned = await run({
      tx,
      record: (grant, change) => events.push(grantEvent(grant, change)),
      recordOther: (change) => events.push(otherEvent(change)),
    });
    const rows = await insertEvents(
      tx,
      events.map((event) => ({ ...event, id: context.newEventId() })),
    );
    last = rows.at(-1);
    if (rows.length > 0) await context.audit?.events(tx, rows);
    return returned;
  });
  const result = await changed.catch(async (error: unknown) => {
    if (!isUniqueViolation(error)) throw error;
    const { withNarrowIndex } = await import('../storage/statements/unique-indexes.ts');
    throw await withNarrowIndex(context.store, error);
  });
  if (last !== undefined) await context.noteEvent(last);
  for (const event of events) tell(context, event);
  return result;
}

function grantEvent(grant: ChangedGrant, change: GrantChange): NewEvent {
  const { client_id: tenant, id: grant_id, provider, account, state: from_state } = grant;
  const { type, to: to_state, reason, generation = grant.generation, details = {} } = change;
  return {
    tenant,
    grant_id,
    provider,
    account,
    type,
    from_state,
    to_state,
    generation,
    reason,
    details: JSON.stringify(details),
  };
}

function otherEvent(change: OtherChange): NewEvent {
  const { type, tenant = systemTenant, provider = null, account = null, reason = null, details = {} } = change;
  const none = { grant_id: null, from_state: null, to_state: null, generation: null };
  return { ...none, tenant, provider, account, type, reason, details: JSON.stringify(details) };
}

function tell(context: ChangeContext, event: NewEvent): void {
  const { tenant, provider, account, from_state: from, to_state: to, generation, reason } = event;
  if (!isGrantEvent(event.type) || provider === null || account === null || to === null || generation === null) {
    context.logger.debug(event.type, { tenant, provider, account, reason, details: event.details });
    return;
  }
  context.logger.info(event.type, { tenant, provider, account, from, to, generation, reason });
  const at = new Date(context.world.now());
  tellListener(context, { at, type: event.type, tenant, provider, account, from, to, generation, reason });
}

/** Gives an event to the vault's listener, after the commit of what it tells. */
export function tellListener(context: Pick<ChangeContext, 'onEvent' | 'logger'>, event: VaultEvent): void {
  if (context.onEvent === undefined) return;
  try {
    context.onEvent(event);
  } catch {
    // The change is committed, so a defect of the listener must not look like a failed change.
    context.logger.error('an event listener failed', { event: event.type });
  }
}

function isGrantEvent(type: string): type is VaultEventType {
  return type.startsWith('grant.');
}
