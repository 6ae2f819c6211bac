import type { Times } from '../base/limits.ts';
import type { Meter } from '../base/meter.ts';
import type { Tracer } from '../base/tracer.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { TenantKeys } from '../crypto/tenant-keys.ts';
import type { Bulkheads } from './bulkhead.ts';
import type { ChangeContext } from './changing.ts';
import type { Guard } from './guard/guard.ts';
import type { ProviderCatalogue } from './provider-catalogue.ts';
import type { Owner } from './spool/owner.ts';
import type { Spool } from './spool/spool.ts';

/** The parts that the vault's use cases share: one for each opened vault. */
export interface VaultContext extends ChangeContext {
  readonly times: Times;
  readonly keys: TenantKeys;
  readonly providers: ProviderCatalogue;
  /** Loaded with the first refresh: a program that only reads tokens never needs it. */
  readonly spool: () => Promise<Spool>;
  readonly spoolDirectory: string;
  readonly owner: Owner;
  readonly bulkheads: Bulkheads;
  readonly pendingOutcomes: OutcomeJournal;
  readonly meter: Meter;
  readonly tracer: Tracer;
  readonly allowLoopback: boolean;
  readonly callerWaitMs: number;
  readonly condemnedKeptMs: number;
  readonly guard: Guard;
  /** True while the vault closes: it spends nothing more, and waits without end give up. */
  readonly closing: () => boolean;
}

/** The end of an attempt without tokens that the database was not available to record. */
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
  /** Records every pending outcome. */
  write(context: VaultContext): Promise<void>;
}

/** Names secrets without revealing them; see `crypto/fingerprint.ts`. */
export function fingerprinter(context: VaultContext): Promise<Fingerprint> {
  return context.keys.fingerprinter();
}

/** The time now as the text columns hold it. */
export function isoNow(context: VaultContext): string {
  return new Date(context.world.now()).toISOString();
}
