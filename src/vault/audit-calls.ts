import type { LogReport } from '../audit/stream.ts';
import type { AuditCheckpoint, AuditPage, AuditProof } from '../schemas/audit.ts';

/** A selection of entries of the audit log. A member that is left out limits nothing. */
export interface AuditFilter {
  readonly tenant?: string | undefined;
  readonly provider?: string | undefined;
  readonly account?: string | undefined;
  /** One action, such as `token.handed_out`, or several. */
  readonly action?: string | readonly string[] | undefined;
  /** The id of the actor: an API key's, or the name of a user of the machine. */
  readonly actor?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** `asc` begins with the oldest entry; the newest comes first when left out. */
  readonly order?: 'asc' | 'desc' | undefined;
  /** The `next` of the page before. */
  readonly cursor?: string | undefined;
  /** Entries of one page, 1 to 500; 100 when left out. */
  readonly limit?: number | undefined;
}

/** The options of {@link AuditCalls.verify}. */
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
   * Signs the log as it is now. Keep checkpoints out of the reach of those who can write the database: they prove later
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
   * Copies the log as lines of JSON. `grantry audit verify FILE` checks them with public keys only.
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

/** A place in a grant's life, and the number of lines from there. */
export interface HistoryOptions {
  /** The `next` of the page before. */
  readonly cursor?: string | undefined;
  /** Entries of the audit log that one page covers, 1 to 500; 100 when left out. */
  readonly limit?: number | undefined;
}
