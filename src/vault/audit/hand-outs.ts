import { type Acting, actingNow } from '../../base/acting.ts';
import { codeOf } from '../../base/errors.ts';
import { defaultAccount, type GrantKey } from '../../base/ids.ts';
import { RepeatedWarning } from '../../base/log.ts';
import { randomFraction } from '../../base/world.ts';
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
  /** Null for hand-outs beyond {@link countsMax}, which are told without their grants. */
  readonly key: GrantKey | null;
  readonly generation: number | null;
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

/**
 * Counts that are kept while the database is away. Hand-out goes on without it, so further ones are added up for each caller
 * without their grants.
 */
const countsMax = 100_000;

/** Counts of one transaction. */
const writtenMax = 1_000;

/** The share of writes after which the log is put in order: most programs run no worker, and the queue must not grow. */
const tidyShare = 0.02;

/** Tells the log who was handed what. */
export class HandOuts {
  readonly isStrict: boolean;
  readonly #context: VaultContext;
  readonly #late: RepeatedWarning;
  #counts = new Map<string, HandOutCount>();
  /** Failed writes since the last good one. */
  #failures = 0;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isDue = false;

  constructor(context: VaultContext, options: { audit: HandOutAudit }) {
    this.#context = context;
    this.isStrict = options.audit === 'strict';
    this.#late = new RepeatedWarning(context.logger, 'hand-outs could not be written to the audit log yet');
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
   * Writes the hand-outs that were counted before the call, and no later ones: under steady load a writer that took those
   * too would never end. Where the log is not strict, those that cannot be written stay.
   *
   * @throws {GrantryError} the error of the database: where the log is strict, no entry means no token
   */
  write(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    // The running write has taken its hand-outs; this caller's may have come later.
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  /** Writes what is left, before the vault closes. */
  async close(): Promise<void> {
    if (this.#counts.size === 0 && this.#running === undefined) return;
    try {
      await this.write();
      await this.#tidy();
    } catch (error) {
      const different = this.#counts.size;
      this.#context.logger.error('hand-outs were not written to the audit log', { code: codeOf(error), different });
    }
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#writeOnce().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  /** Puts the log in order from time to time. It decides nothing, so a failure is for the next one to mend. */
  async #tidy(): Promise<void> {
    const { world, guard } = this.#context;
    if (guard.reason !== null || randomFraction(world) >= tidyShare) return;
    const { tendLog } = await import('./tend.ts');
    await tendLog(this.#context).catch((error: unknown) => {
      this.#context.logger.debug('the audit log could not be put in order', { code: codeOf(error) });
    });
  }

  #acting(): Acting | undefined {
    return actingNow() ?? this.#context.audit?.program;
  }

  #countOf(use: Use, key: GrantKey, generation: number, acting: Acting): HandOutCount {
    const { tenant, provider, account = defaultAccount } = key;
    const { actor, source } = acting;
    const isBeyond = this.#counts.size >= countsMax;
    const grantName = isBeyond ? [] : [tenant, provider, account, generation];
    const name = [use, actor.kind, actor.id, source, ...grantName].join('\0');
    const now = this.#context.world.now();
    const known = this.#counts.get(name);
    if (known !== undefined) {
      known.count += 1;
      known.lastAt = now;
      return known;
    }
    const grant = isBeyond ? { key: null, generation: null } : { key: { tenant, provider, account }, generation };
    const made = { acting, use, ...grant, firstAt: now, lastAt: now, count: 1, isTaken: false };
    this.#counts.set(name, made);
    if (!this.isStrict) this.#writeSoon();
    return made;
  }

  #writeSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const { world } = this.#context;
    const soon = world.sleep(periodMs * (world.timeScale ?? 1), undefined, { background: true });
    soon
      .then(() => this.write())
      .then(() => {
        this.#failures = 0;
        return this.#late.worked();
      })
      .then(() => this.#tidy())
      .catch((error: unknown) => {
        this.#failures += 1;
        // One failure is mended a second later, and needs no person.
        if (this.#failures > 1) this.#late.failed(codeOf(error));
      })
      .finally(() => {
        this.#isDue = false;
        if (this.#counts.size > 0 && !this.#context.closing()) this.#writeSoon();
      });
  }

  async #writeOnce(): Promise<void> {
    // A caller of this turn may still add to its count.
    await Promise.resolve();
    const taken = [...this.#counts];
    this.#counts = new Map();
    for (const [, count] of taken) count.isTaken = true;
    for (let from = 0; from < taken.length; from += writtenMax) {
      try {
        await this.#insert(taken.slice(from, from + writtenMax).map(([, count]) => count));
      } catch (error) {
        // Where the log is strict, their callers got no token.
        if (!this.isStrict) this.#putBack(taken.slice(from));
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
        tenant: key?.tenant ?? null,
        provider: key?.provider ?? null,
        account: key === null ? null : (key.account ?? defaultAccount),
        generation,
        action: use,
        outcome: 'ok' as const,
        code: null,
        reason: null,
        count,
        ...(count > 1 ? { firstAt, lastAt } : {}),
        details: key === null ? { without_grants: true } : {},
      },
    }));
    await changing(this.#context, ({ tx }) => audit.entries(tx, entries));
  }

  #putBack(taken: readonly (readonly [string, HandOutCount])[]): void {
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
