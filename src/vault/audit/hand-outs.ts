import { type Acting, actingNow } from '../../base/acting.ts';
import { codeOf } from '../../base/errors.ts';
import { defaultAccount, type GrantKey } from '../../base/ids.ts';
import { RepeatedWarning } from '../../base/log.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';

/** `batched`: told within a second, in one entry per caller and grant. `strict`: told before the caller has the token. */
export type HandOutAudit = 'batched' | 'strict';

/** The thing that a caller got: the token itself, or a call with it. */
export type Use = 'token.handed_out' | 'api.called';

/** Equal hand-outs that are not in the log yet. */
export interface HandOutCount {
  readonly acting: Acting;
  readonly use: Use;
  readonly key: GrantKey;
  readonly generation: number;
  readonly firstAt: number;
  lastAt: number;
  count: number;
  /** An entry tells it, or is about to: later hand-outs need a new count. */
  isTaken: boolean;
}

/** Something that remembers its last count, so that the next hand-out needs no look-up. */
export interface Counted {
  counted: HandOutCount | undefined;
  readonly generation: number;
}

const periodMs = 900;

/** Counts that are kept while the database is away. Beyond it callers wait for the log. */
const countsMax = 50_000;

/** Counts of one transaction. */
const writtenMax = 1_000;

/** Tells the log who was handed what. */
export class HandOuts {
  readonly isStrict: boolean;
  readonly #context: VaultContext;
  /** False in a program that ends soon: it writes when it closes. */
  readonly #isPeriodic: boolean;
  readonly #late: RepeatedWarning;
  #counts = new Map<string, HandOutCount>();
  #writing: Promise<void> | undefined;
  #isDue = false;

  constructor(context: VaultContext, options: { audit: HandOutAudit; isPeriodic: boolean }) {
    this.#context = context;
    this.isStrict = options.audit === 'strict';
    this.#isPeriodic = options.isPeriodic;
    this.#late = new RepeatedWarning(context.logger, 'hand-outs could not be written to the audit log yet');
  }

  /** True if a hand-out must wait for the log. */
  get mustWait(): boolean {
    return this.isStrict || this.#counts.size >= countsMax;
  }

  /** Counts a hand-out. The hot path: nothing is looked up when the same caller comes again. */
  count(use: Use, key: GrantKey, held: Counted, acting: Acting | undefined = this.#acting()): void {
    const { world, audit } = this.#context;
    if (acting === undefined || audit === undefined) return;
    const last = held.counted;
    if (last !== undefined && !last.isTaken && last.acting === acting && last.use === use) {
      last.count += 1;
      last.lastAt = world.now();
      return;
    }
    held.counted = this.#countOf(use, key, held.generation, acting);
  }

  /**
   * Waits until the log has the hand-outs so far, if it must be so.
   *
   * @throws {GrantryError} the error of the database: no entry, no token
   */
  async settled(): Promise<void> {
    if (!this.mustWait) return;
    while (this.#counts.size > 0) {
      // A write that runs may not have the newest ones.
      await this.#writing?.catch(() => {});
      if (this.#counts.size > 0) await this.write();
    }
  }

  /** Writes the counts. Those that cannot be written stay. @throws {GrantryError} the error of the database */
  write(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Writes what is left, before the vault closes. */
  async close(): Promise<void> {
    await this.#writing?.catch(() => {});
    if (this.#counts.size === 0) return;
    await this.write().catch((error: unknown) => {
      const hand_outs = this.#counts.size;
      this.#context.logger.error('hand-outs were not written to the audit log', { code: codeOf(error), hand_outs });
    });
  }

  #acting(): Acting | undefined {
    return actingNow() ?? this.#context.audit?.program;
  }

  #countOf(use: Use, key: GrantKey, generation: number, acting: Acting): HandOutCount {
    const { tenant, provider, account = defaultAccount } = key;
    const { actor, source } = acting;
    const name = [use, actor.kind, actor.id, source, tenant, provider, account, generation].join('\0');
    const now = this.#context.world.now();
    const known = this.#counts.get(name);
    if (known !== undefined) {
      known.count += 1;
      known.lastAt = now;
      return known;
    }
    const grant = { tenant, provider, account };
    const made = { acting, use, key: grant, generation, firstAt: now, lastAt: now, count: 1, isTaken: false };
    this.#counts.set(name, made);
    if (!this.isStrict && this.#isPeriodic) this.#writeSoon();
    return made;
  }

  #writeSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const { world } = this.#context;
    const soon = world.sleep(periodMs * (world.timeScale ?? 1), undefined, { background: true });
    soon
      .then(() => this.write())
      .then(() => this.#late.worked())
      .catch((error: unknown) => this.#late.failed(codeOf(error)))
      .finally(() => {
        this.#isDue = false;
        if (this.#counts.size > 0 && !this.#context.closing()) this.#writeSoon();
      });
  }

  async #write(): Promise<void> {
    while (this.#counts.size > 0) {
      const names = [...this.#counts.keys()].slice(0, writtenMax);
      const taken = new Map(
        names.flatMap((name) => {
          const count = this.#counts.get(name);
          return count === undefined ? [] : [[name, count] as const];
        }),
      );
      for (const [name, count] of taken) {
        count.isTaken = true;
        this.#counts.delete(name);
      }
      try {
        await this.#insert([...taken.values()]);
      } catch (error) {
        this.#putBack(taken);
        throw error;
      }
    }
  }

  async #insert(counts: readonly HandOutCount[]): Promise<void> {
    const { audit } = this.#context;
    if (audit === undefined) return;
    const entries = counts.map(({ acting, use, key, generation, firstAt, lastAt, count }) => ({
      acting,
      entry: {
        at: lastAt,
        tenant: key.tenant,
        provider: key.provider,
        account: key.account ?? defaultAccount,
        generation,
        action: use,
        outcome: 'ok' as const,
        code: null,
        reason: null,
        count,
        ...(count > 1 ? { firstAt, lastAt } : {}),
        details: {},
      },
    }));
    await changing(this.#context, ({ tx }) => audit.entries(tx, entries));
  }

  #putBack(taken: ReadonlyMap<string, HandOutCount>): void {
    for (const [name, count] of taken) {
      const newer = this.#counts.get(name);
      const merged = { ...count, isTaken: false };
      if (newer !== undefined) {
        newer.isTaken = true;
        merged.count += newer.count;
        merged.lastAt = newer.lastAt;
      }
      this.#counts.set(name, merged);
    }
  }
}
