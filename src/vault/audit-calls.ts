import type { LogReport } from '../audit/stream.ts';
import type { AuditCheckpoint, AuditPage, AuditProof } from '../schemas/audit.ts';
import type { AuditFilter } from './audit/read.ts';

/** What a caller of {@link AuditCalls.verify} may give. */
export interface AuditVerifyOptions {
  /** Public keys that were kept outside of the database; else those of the database are taken. */
  readonly verifiers?: readonly string[] | undefined;
  /** Told from time to time how many entries of how many were checked. */
  readonly onProgress?: ((entries: number, of: number) => void) | undefined;
}

/**
 * The log of changes and hand-outs: who did what, to which grant, when, from where, and how it ended.
 *
 * Entries are leaves of a Merkle tree (RFC 6962) and are never changed. Each checkpoint signs all entries before it.
 */
export interface AuditCalls {
  /**
   * Returns one page of entries, the newest first unless `order` is `asc`.
   *
   * @throws {GrantryError} `invalid_request`
   *
   * @example
   * const page = await vault.audit.list({ tenant: 'acme', action: 'token.handed_out' });
   */
  list(filter?: AuditFilter): Promise<AuditPage>;
  /**
   * Signs the log as it is now. Keep checkpoints where nobody who can write the database can write: they prove later
   * changes.
   *
   * @throws {GrantryError} `not_found` for a log without entries
   *
   * @example
   * const { note } = await vault.audit.checkpoint();
   */
  checkpoint(): Promise<AuditCheckpoint>;
  /**
   * Checks every entry and every checkpoint, and names the first bad entry.
   *
   * @example
   * const { finding } = await vault.audit.verify();
   * if (finding !== null) throw new Error(`entry ${finding.seq}: ${finding.kind}`);
   */
  verify(options?: AuditVerifyOptions): Promise<LogReport>;
  /**
   * Copies the log as lines of JSON. `grantry audit verify FILE` checks them with a public key alone.
   *
   * @example
   * for await (const line of vault.audit.export()) process.stdout.write(`${line}\n`);
   */
  export(): AsyncIterable<string>;
  /**
   * Proves that one entry is in the log, without showing another one (RFC 6962 §2.1.1).
   *
   * @throws {GrantryError} `not_found`
   *
   * @example
   * const { proof, checkpoint } = await vault.audit.prove(4711);
   */
  prove(seq: number): Promise<AuditProof>;
}
