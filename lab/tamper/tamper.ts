import { isGrantryError } from '../../src/base/errors.ts';
import { canonicalRow, rowName } from '../../src/storage/canonical-row.ts';
import { type ProtectedTable, protectedTableNames } from '../../src/storage/protected-tables.ts';
import { Dice } from '../dice.ts';
import type { Row } from './attacker.ts';
import { type Mutation, mutate, undo } from './mutations.ts';
import { type Holder, Place, type Provider, providers, tenants } from './place.ts';
import { attackersText } from './values.ts';

export interface TamperOptions {
  readonly database: string;
  readonly seed: number;
  readonly seconds: number;
  /** Empties the database for the next place. */
  readonly renew: () => Promise<string>;
  readonly onProgress?: (text: string) => void;
}

export interface TamperReport {
  /** The number of mutations of each kind, by table. */
  readonly tried: Map<string, number>;
  rounds: number;
  /** Altered rows that were named, and old rows put back, which are allowed to work. */
  named: number;
  rolledBack: number;
  /** The times that the attacker destroyed the vault, so that a new one was made. This is allowed. */
  destroyed: number;
  calls: number;
  requests: number;
  readonly findings: Set<string>;
}

/** A mutation of these tables may stop the whole vault: its neighbours are not judged. */
const common = new Set(['grantry_instance', 'grantry_schema', 'grantry_tenant_keys', 'grantry_events']);

/**
 * An attacker with write access to every table alters rows while a vault serves: workers refresh, readers read, callers
 * call through the proxy, and users connect. Every byte that a host or a caller gets is searched for tokens and secrets.
 */
export async function tamper(options: TamperOptions): Promise<TamperReport> {
  const dice = new Dice(options.seed);
  const report: TamperReport = {
    tried: new Map<string, number>(),
    rounds: 0,
    named: 0,
    rolledBack: 0,
    destroyed: 0,
    calls: 0,
    requests: 0,
    findings: new Set<string>(),
  };
  const endsAt = performance.now() + options.seconds * 1_000;
  let database = options.database;
  while (performance.now() < endsAt) {
    await using run = new Run(await Place.start(database, { workers: true }), dice, report);
    while (performance.now() < endsAt && (await run.round())) options.onProgress?.(`round ${report.rounds}`);
    run.finish();
    if (performance.now() >= endsAt) break;
    report.destroyed += 1;
    database = await options.renew();
  }
  return report;
}

class Run implements AsyncDisposable {
  readonly #place: Place;
  readonly #dice: Dice;
  readonly #report: TamperReport;
  /** Rows as they were at the start, some of which the vault has replaced since. */
  readonly #old = new Map<string, readonly Row[]>();

  constructor(place: Place, dice: Dice, report: TamperReport) {
    this.#place = place;
    this.#dice = dice;
    this.#report = report;
  }

  /** Alters some rows, uses the vault, judges, and puts everything back. Returns false when the vault is destroyed. */
  async round(): Promise<boolean> {
    const place = this.#place;
    this.#report.rounds += 1;
    await this.#change();
    const made: Mutation[] = [];
    for (let count = 2 + this.#dice.below(5); count > 0; count -= 1) {
      const mutation = await mutate(place.attacker, this.#dice, this.#old);
      if (mutation === null) continue;
      made.push(mutation);
      const name = `${mutation.table}: ${mutation.kind}`;
      this.#report.tried.set(name, (this.#report.tried.get(name) ?? 0) + 1);
    }
    const about = made
      .map(({ table, kind, column }) => `${table}${column === null ? '' : `.${column}`} (${kind})`)
      .join(', ');
    await this.#use(about, made);
    await this.#expectNamed(made, about);
    for (const mutation of made.toReversed()) await undo(place.attacker, mutation);
    for (const violation of place.hosts.violations) this.#report.findings.add(`${violation}, after ${about}`);
    place.hosts.violations.clear();
    return this.#repair();
  }

  finish(): void {
    this.#report.requests += this.#place.hosts.requests;
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

  async #use(about: string, made: readonly Mutation[]): Promise<void> {
    const place = this.#place;
    const forged: Holder = { key: attackersText, may: new Set() };
    for (const holder of [...place.holders.values(), forged]) {
      const [tenant, provider] = [this.#dice.pick(tenants), this.#dice.pick(providers)];
      await this.#call('GET', `/v1/tenants/${tenant}/grants/${provider}/token`, holder);
      await this.#call('GET', `/v1/proxy/${tenant}/${provider}/api/organization`, holder);
    }
    const admin = place.holder('admin');
    const touched = made.flatMap(({ before, after }) => [before, after]);
    for (const tenant of tenants) {
      for (const provider of providers) {
        const status = await this.#refreshed(tenant, provider, admin);
        const isTouched =
          made.some(({ table }) => common.has(table)) || touched.some((row) => concerns(row, tenant, provider));
        if (status !== 200 && !isTouched) {
          this.#report.findings.add(`the untouched grant ${tenant}/${provider} got ${status} after ${about}`);
        }
      }
    }
    for (const list of ['/v1/apps', '/v1/keys', '/v1/providers', '/v1/grants', '/v1/connect-sessions']) {
      const status = await this.#call('GET', list, admin);
      const isJudged = !made.some(
        ({ table }) => common.has(table) || table === 'oauth_tokens' || table === 'grantry_api_keys',
      );
      if (status !== 200 && isJudged) this.#report.findings.add(`GET ${list} got ${status} after ${about}`);
    }
    await this.#call('GET', `/connect/${attackersText}`, null);
    await this.#call('GET', `/oauth/callback/evil?state=${attackersText}&code=stolen`, null);
    // A grant that was moved is asked for where it is now.
    for (const { table, after } of made) {
      if (table !== 'oauth_tokens' || after === null) continue;
      const [tenant, provider, account] = [after['client_id'], after['provider'], after['account']].map((name) =>
        encodeURIComponent(String(name)),
      );
      const path = `/v1/tenants/${tenant}/grants/${provider}/token?account=${account}&min_validity=3600`;
      await this.#call('GET', path, admin);
      await this.#call('GET', `/v1/proxy/${tenant}/${provider}/api/organization`, admin, undefined, {
        'grantry-account': String(after['account']).replaceAll(/[^\w.@:-]/g, ''),
      });
    }
    const session = { tenant: 'acme', provider: 'none', account: `new-${this.#report.rounds}`, app: 'none' };
    await this.#call('POST', '/v1/connect-sessions', admin, session);
  }

  /** Asks for a token that needs a refresh, as a caller does whose token is about to expire. */
  async #refreshed(tenant: string, provider: Provider, holder: Holder): Promise<number> {
    const path = `/v1/tenants/${tenant}/grants/${provider}/token`;
    const isLong = this.#dice.chance(0.5);
    return this.#call('GET', `${path}${isLong ? '?min_validity=3600' : ''}`, holder);
  }

  async #call(
    method: string,
    path: string,
    holder: Holder | null,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    this.#report.calls += 1;
    return (await this.#place.call(method, path, { holder, headers, ...(body === undefined ? {} : { body }) })).status;
  }

  /** Each altered row of a protected table that is still there must be named. */
  async #expectNamed(made: readonly Mutation[], about: string): Promise<void> {
    const judged = made.filter(({ table }) => isProtected(table));
    if (judged.length === 0 || made.some(({ table }) => common.has(table))) return;
    const names = new Set(await this.#place.altered());
    for (const { table, kind, after, before } of judged) {
      if (after === null || !isProtected(table)) continue;
      const there = (await this.#place.attacker.rows(table)).some((row) => isSame(row, after));
      if (!there) continue;
      if (kind === 'old value put back') this.#report.rolledBack += 1;
      else if (names.has(rowName(table, after))) this.#report.named += 1;
      else if (before === null || !isHarmless(table, before, after)) {
        this.#report.findings.add(`${rowName(table, after)} is not named after ${about}`);
      }
    }
  }

  /** Connects again what the round has broken. Returns false when that cannot be done. */
  async #repair(): Promise<boolean> {
    const { vault, attacker } = this.#place;
    try {
      const known = new Set<string>(tenants);
      for (const row of await attacker.rows('oauth_tokens')) {
        const isOurs =
          known.has(String(row['client_id'])) && providers.some((provider) => provider === row['provider']);
        if (!isOurs) await attacker.replace('oauth_tokens', row, null);
      }
      if (vault.quarantine !== null || (await this.#place.altered()).length > 0) return false;
      for (const tenant of tenants) {
        for (const provider of providers) {
          const grant = await vault.grants.get({ tenant, provider }).catch(() => null);
          const works = await vault.getAccessToken({ tenant, provider }).then(
            () => grant?.state === 'active',
            () => false,
          );
          if (!works || this.#dice.chance(0.2)) {
            await this.#place.connect(tenant, provider, { stale: this.#dice.chance(0.5) });
          }
        }
      }
      return true;
    } catch (error) {
      if (isGrantryError(error)) return false;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place[Symbol.asyncDispose]();
  }
}

function isProtected(table: string): table is ProtectedTable {
  return protectedTableNames.some((name) => name === table);
}

/** True if the MAC of a row cannot tell the difference: the column is excluded, or the value is the same. */
function isHarmless(table: ProtectedTable, before: Row, after: Row): boolean {
  const form = (row: Row): string =>
    JSON.stringify(
      canonicalRow(table, Object.fromEntries(Object.entries(row).map(([name, value]) => [name, numbered(value)]))),
    );
  return before['mac'] === after['mac'] && form(before) === form(after);
}

function numbered(value: string | bigint | null): string | number | null {
  return typeof value === 'bigint' ? Number(value) : value;
}

function isSame(one: Row, other: Row): boolean {
  return Object.keys(one).every((name) => String(one[name]) === String(other[name]));
}

/** True if a row may decide what becomes of a grant: it names the tenant or the provider, or the grant by its id. */
function concerns(row: Row | null, tenant: string, provider: string): boolean {
  if (row === null) return false;
  const text = Object.values(row).map(String).join('\n');
  const isOfAnyTenant = 'definition' in row || 'client_secrets' in row || 'key_hash' in row || 'fingerprint' in row;
  return isOfAnyTenant
    ? text.includes(provider) || 'key_hash' in row || 'fingerprint' in row
    : text.includes(tenant) || 'grant_id' in row;
}
