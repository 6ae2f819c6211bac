import type { Kysely, RawBuilder } from 'kysely';
import type { Schema } from '../storage/schema.ts';
import { insertEvents } from '../storage/statements/events.ts';
import type { VaultContext } from './context.ts';
import type { VaultEventType } from './types.ts';

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

export function eventOf(change: Change): Parameters<typeof insertEvents>[2][number] {
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

export function tell(context: VaultContext, change: Change): void {
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
