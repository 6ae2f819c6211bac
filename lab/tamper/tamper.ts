import { Dice } from '../dice.ts';
import type { Row } from './attacker.ts';
import { heal } from './heal.ts';
import { type Mutation, mutate } from './mutations.ts';
import { expectNamed } from './named.ts';
import { Place, providers } from './place.ts';
import { aboutOf, newReport, type Round, type TamperReport } from './round.ts';
import { type StepName, takeSteps } from './steps.ts';
import { useVault } from './use.ts';

export interface TamperOptions {
  readonly database: string;
  readonly seed: number;
  readonly seconds: number;
  /** Empties the database for the next place. */
  readonly renew: () => Promise<string>;
  /** The tables that the attacker prefers. */
  readonly tables?: readonly string[];
  /** The steps that are taken more often. */
  readonly steps?: readonly StepName[];
  /** True ends the run with the first token, secret or key at a wrong place. */
  readonly untilLeak?: boolean;
  readonly onProgress?: (text: string) => void;
}

/** Some rounds are quiet: without a mutation, every step must get its aim. */
const quietShare = 0.15;

/**
 * An attacker with write access to every table alters rows while a vault serves: workers refresh, readers read, callers
 * call through the proxy, and users connect. Every byte that a host or a caller gets is searched for tokens and secrets.
 */
export async function tamper(options: TamperOptions): Promise<TamperReport> {
  const dice = new Dice(options.seed);
  const report = newReport();
  const endsAt = performance.now() + options.seconds * 1_000;
  const isOver = (): boolean => performance.now() >= endsAt || (options.untilLeak === true && report.leaks.size > 0);
  let { database } = options;
  while (!isOver()) {
    await using run = new Run(await Place.start(database, { workers: true }), { dice, report, options });
    while (!isOver() && (await run.round())) options.onProgress?.(`round ${report.rounds}`);
    if (isOver()) break;
    report.destroyed += 1;
    database = await options.renew();
  }
  return report;
}

class Run implements AsyncDisposable {
  readonly #place: Place;
  readonly #dice: Dice;
  readonly #report: TamperReport;
  readonly #options: TamperOptions;
  /** Rows as they were at the start, some of which the vault has replaced since. */
  readonly #old = new Map<string, readonly Row[]>();

  constructor(place: Place, of: { dice: Dice; report: TamperReport; options: TamperOptions }) {
    this.#place = place;
    this.#dice = of.dice;
    this.#report = of.report;
    this.#options = of.options;
  }

  /** Alters rows, uses the vault, judges, and puts everything back. Returns false when the vault is destroyed. */
  async round(): Promise<boolean> {
    const report = this.#report;
    report.rounds += 1;
    await this.#change();
    const made: Mutation[] = [];
    const isQuiet = this.#dice.chance(quietShare);
    const round: Round = {
      place: this.#place,
      dice: this.#dice,
      report,
      number: report.rounds,
      made,
      attack: async (tables) => {
        if (!isQuiet && this.#dice.chance(0.5)) await this.#strike(made, tables);
      },
    };
    if (!isQuiet && this.#dice.chance(0.7))
      for (let count = 2 + this.#dice.below(4); count > 0; count -= 1) await this.#strike(made, []);
    await takeSteps(round, this.#options.steps ?? []);
    await useVault(round);
    await expectNamed(round);
    const isBack = await heal(round);
    const { violations } = this.#place.hosts;
    for (const violation of violations) report.leaks.add(`${violation}, after ${aboutOf(round)}`);
    violations.clear();
    return isBack;
  }

  async #strike(made: Mutation[], tables: readonly string[]): Promise<void> {
    const { tables: preferred = [] } = this.#options;
    const mutation = await mutate(this.#place.attacker, this.#dice, {
      old: this.#old,
      sealedBy010: (row) => this.#place.sealedBy010(row),
      tables: preferred.length > 0 ? preferred : tables,
    });
    if (mutation === null) return;
    made.push(mutation);
    const name = `${mutation.table}: ${mutation.kind}`;
    this.#report.tried.set(name, (this.#report.tried.get(name) ?? 0) + 1);
  }

  /** Changes that an honest administrator makes, so that there are older rows to put back. */
  async #change(): Promise<void> {
    const { attacker, vault } = this.#place;
    for (const table of await attacker.tables()) {
      if (!this.#old.has(table) || this.#dice.chance(0.1)) this.#old.set(table, await attacker.rows(table));
    }
    const provider = this.#dice.pick(providers);
    const app = await vault.apps.get(provider).catch(() => null);
    if (app === null || this.#dice.chance(0.7)) return;
    const { clientId, returnTo } = app;
    await vault.apps.put(provider, { provider, clientId, scopes: ['read', `s${this.#report.rounds}`], returnTo });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#report.requests += this.#place.hosts.requests;
    await this.#place[Symbol.asyncDispose]();
  }
}
