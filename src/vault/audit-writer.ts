import { type Acting, actingNow, userOfMachine } from '../base/acting.ts';
import { systemTenant } from '../crypto/tenant-keys.ts';
import type { WriteTx } from '../storage/database.ts';
import { queueEntries } from '../storage/statements/audit/queue.ts';
import type { EventRow } from '../storage/statements/events.ts';
import { factsOf, type NewEntry, type Outcome, short } from './audit-entry.ts';

/** Writes entries into the queue of the log, within the transaction of what they tell. */
export interface AuditWriter {
  /** The actor for whom the program acts unless another one is named. */
  readonly program: Acting;
  /** Tells committed changes of the vault. */
  events(tx: WriteTx, events: readonly EventRow[]): Promise<void>;
  entries(tx: WriteTx, entries: readonly { readonly entry: NewEntry; readonly acting: Acting }[]): Promise<void>;
}

/** Makes the writer of a vault. */
export function auditWriter(newId: () => string): AuditWriter {
  const program: Acting = { actor: userOfMachine(), source: 'library' };
  const entries: AuditWriter['entries'] = (tx, list) =>
    queueEntries(
      tx,
      list.map(({ entry, acting }) => ({
        id: newId(),
        at: entry.at,
        tenant: entry.tenant === null ? systemTenant : short(entry.tenant),
        entry: JSON.stringify(factsOf(entry, acting)),
        details: JSON.stringify(detailsOf(entry, acting)),
      })),
    );
  return {
    program,
    entries,
    events: (tx, events) => {
      const acting = actingNow() ?? program;
      return entries(
        tx,
        events.map((event) => ({ entry: entryOf(event), acting })),
      );
    },
  };
}

const failures: ReadonlySet<string> = new Set([
  'grant.uncertain',
  'grant.suspect',
  'grant.reauthorization_required',
  'session.failed',
  'audit.failed',
  'vault.quarantined',
]);

function entryOf(event: EventRow): NewEntry {
  const { at, tenant, provider, account, generation, type: action, reason } = event;
  const outcome: Outcome = failures.has(action) ? 'failed' : 'ok';
  const { from_state, to_state } = event;
  const states = to_state === null || from_state === to_state ? {} : { from: from_state, to: to_state };
  // Only `changing` writes events, each with an object of plain values.
  const kept = JSON.parse(event.details) as NewEntry['details'];
  return {
    at,
    tenant: tenant === systemTenant ? null : tenant,
    provider,
    account,
    generation,
    action,
    outcome,
    code: null,
    reason,
    details: { ...kept, ...states },
  };
}

/** A reason that a person gave stands beside the vault's own word. */
function detailsOf({ reason, details }: NewEntry, { reason: given }: Acting): NewEntry['details'] {
  const clean = Object.entries(details).map(([name, value]) => [
    name,
    typeof value === 'string' ? short(value) : value,
  ]);
  const because = reason !== null && given !== undefined ? { given_reason: short(given) } : {};
  return { ...Object.fromEntries(clean), ...because };
}
