import type { Times } from '../base/limits.ts';
import type { Meter } from '../base/meter.ts';
import type { Tracer } from '../base/tracer.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { TenantKeys } from '../crypto/tenant-keys.ts';
import type { Bulkheads } from './bulkhead.ts';
import type { ChangeContext } from './changing.ts';
import type { Guard } from './guard/guard.ts';
import type { ProviderCatalogue } from './provider-catalogue.ts';
import type { Reach } from './reach.ts';
import type { Spending } from './spending.ts';
import type { Owner } from './spool/owner.ts';
import type { Spool } from './spool/spool.ts';
import type { Turns } from './turns.ts';

/** Dependencies shared by the vault's use cases; each opened vault has one. */
export interface VaultContext extends ChangeContext {
  readonly times: Times;
  readonly keys: TenantKeys;
  readonly providers: ProviderCatalogue;
  readonly reach: Reach;
  /** Loads the spool on demand: a program that only reads tokens does not need it. */
  readonly spool: () => Promise<Spool>;
  readonly spoolDirectory: string;
  readonly owner: Owner;
  readonly bulkheads: Bulkheads;
  /** Before each transaction that may wait for the row of one grant and that any number of callers can ask for. */
  readonly turns: Turns;
  readonly pendingOutcomes: OutcomeJournal;
  readonly spending: Spending;
  readonly meter: Meter;
  readonly tracer: Tracer;
  readonly allowLoopback: boolean;
  readonly callerWaitMs: number;
  readonly condemnedKeptMs: number;
  readonly guard: Guard;
  /** True while the vault is being closed: no new token is spent, and unlimited waits end. */
  readonly closing: () => boolean;
}

/** Outcome of an attempt without tokens that could not be recorded because the database was unavailable. */
export interface PendingOutcome {
  readonly tenant: string;
  readonly grantId: string;
  readonly attemptId: string;
  readonly generation: number;
  readonly fence: number;
  readonly tokenFingerprint: string;
  readonly outcome: 'not_sent' | 'failed' | 'refused';
  readonly detail: string | null;
}

/** Keeps outcomes in memory until the database can record them; `refresh/pending-outcomes.ts` implements it. */
export interface OutcomeJournal {
  readonly isEmpty: boolean;
  /** Runs `write`; keeps the outcome for later if the database is unavailable. */
  orRemember<T>(outcome: PendingOutcome, write: () => Promise<T>): Promise<T>;
  /**
   * Records the pending outcomes of one grant. Returns true if there were any.
   *
   * @throws {GrantryError} the failure of the first that cannot be recorded
   */
  writeOf(context: VaultContext, grantId: string): Promise<boolean>;
  /** Records every pending outcome that can be recorded now. */
  write(context: VaultContext): Promise<void>;
}

/** Returns the function that identifies secrets without revealing them; see `crypto/fingerprint.ts`. */
export function fingerprinter(context: VaultContext): Promise<Fingerprint> {
  return context.keys.fingerprinter();
}

/** Returns the current time in the format of the text columns. */
export function isoNow(context: VaultContext): string {
  return new Date(context.world.now()).toISOString();
}
