import type { Kysely, RawBuilder } from 'kysely';
import type { Times } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Meter } from '../base/meter.ts';
import type { Tracer } from '../base/tracer.ts';
import type { World } from '../base/world.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { TenantKeys } from '../crypto/tenant-keys.ts';
import type { Schema } from '../storage/schema.ts';
import { insertEvents } from '../storage/statements/events.ts';
import type { Store } from '../storage/store.ts';
import type { Bulkheads } from './bulkhead.ts';
import type { Guard } from './guard/guard.ts';
import type { ProviderCatalogue } from './provider-catalogue.ts';
import type { UnwrittenEnds } from './refresh/pending-outcomes.ts';
import type { Owner } from './spool/owner.ts';
import type { Spool } from './spool/spool.ts';
import type { VaultEvent, VaultEventType } from './types.ts';

/** Everything the vault's use cases share: one per opened vault. */
export interface VaultContext {
  readonly world: World;
  readonly times: Times;
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly providers: ProviderCatalogue;
  /** Loaded with the first refresh: who only reads a token never needs it. */
  readonly spool: () => Promise<Spool>;
  readonly spoolDirectory: string;
  readonly owner: Owner;
  readonly bulkheads: Bulkheads;
  readonly unwritten: UnwrittenEnds;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly tracer: Tracer;
  readonly allowLoopback: boolean;
  readonly callerWaitMs: number;
  readonly condemnedKeptMs: number;
  readonly guard: Guard;
  /** The vault is being closed: nothing new is spent, and what waits without end gives up. */
  readonly closing: () => boolean;
  readonly onEvent: ((event: VaultEvent) => void) | undefined;
}

/** Names secrets without revealing them; see `crypto/fingerprint.ts`. */
export function fingerprinter(context: VaultContext): Promise<Fingerprint> {
  return context.keys.fingerprinter();
}

/** What a state change says of itself. */
export interface Change {
  type: VaultEventType;
  tenant: string;
  grantId: string;
  provider: string;
  account: string;
  from: string | null;
  to: string;
  generation: number;
  reason: string | null;
  /** Names, numbers and fingerprints; never a secret. */
  details?: Readonly<Record<string, string | number | boolean | null>>;
}

/** A transaction in which state changes are made and recorded together. */
export interface ChangeTransaction {
  readonly tx: Kysely<Schema>;
  readonly now: RawBuilder<number>;
  record(...changes: readonly Change[]): Promise<void>;
}

/**
 * Runs one transaction whose state changes are recorded as events in it, and told to the vault's user after the commit.
 */
export async function changing<T>(
  context: VaultContext,
  run: (transaction: ChangeTransaction) => Promise<T>,
): Promise<T> {
  let changes: Change[] = [];
  let seq = 0;
  const now = context.store.now();
  const result = await context.store.transaction(async (tx) => {
    // The store may run a transaction again that the database turned down: what was collected then never happened.
    changes = [];
    return run({
      tx,
      now,
      record: async (...news) => {
        if (news.length === 0) return;
        seq = await insertEvents(tx, now, news.map(eventOf));
        changes.push(...news);
      },
    });
  });
  if (seq > 0) context.guard.note(seq);
  for (const change of changes) tell(context, change);
  return result;
}

function eventOf(change: Change): Parameters<typeof insertEvents>[2][number] {
  return {
    client_id: change.tenant,
    grant_id: change.grantId,
    provider: change.provider,
    account: change.account,
    type: change.type,
    from_state: change.from,
    to_state: change.to,
    generation: change.generation,
    reason: change.reason,
    details: JSON.stringify(change.details ?? {}),
  };
}

function tell(context: VaultContext, change: Change): void {
  const { tenant, provider, account, from, to, generation, reason } = change;
  context.logger.info(change.type, { tenant, provider, account, from, to, generation, reason });
  if (context.onEvent === undefined) return;
  const at = new Date(context.world.now());
  try {
    context.onEvent({ at, type: change.type, tenant, provider, account, from, to, generation, reason });
  } catch {
    // The change is committed; a listener's defect must not look like a failed change to the caller.
    context.logger.error('an event listener failed', { event: change.type });
  }
}

/** The time now as the text columns hold it. */
export function isoNow(context: VaultContext): string {
  return new Date(context.world.now()).toISOString();
}
