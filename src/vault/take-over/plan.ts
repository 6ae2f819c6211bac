import { createHash } from 'node:crypto';
import { GrantryError } from '../../base/errors.ts';
import { defaultAccount } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { silentLogger } from '../../base/log.ts';
import { systemWorld } from '../../base/system-world.ts';
import { grantDc } from '../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { writeKey } from '../../schemas/json.ts';
import { inspectGrantTable } from '../../storage/migrations/version.ts';
import { dryRunSeal } from '../../storage/row-seal.ts';
import { type AppRow, listApps } from '../../storage/statements/apps.ts';
import { metadataOf } from '../../storage/statements/grants.ts';
import { openStore, type Store } from '../../storage/store.ts';
import { listUnsealed } from '../../storage/take-over/rows.ts';
import type { DroppedPart, ForeignTable } from '../../storage/take-over/table.ts';
import { eachForeignPage, inspectForeignTable } from '../../storage/take-over/take-over.ts';
import { tenantsOf } from '../app/apps.ts';
import { onlyApp } from '../app/only-app.ts';
import { changeContext } from '../changing.ts';
import type { VaultOptions } from '../options.ts';
import { ProviderCatalogue } from '../provider-catalogue.ts';
import { Reach } from '../reach.ts';
import { resolveVaultSettings } from '../settings.ts';
import { converter } from './convert.ts';

/** The grant that one row would become, without its tokens. */
export interface TakeOverRow {
  readonly tenant: string;
  readonly provider: string;
  /** `default`, or `duplicate-2` and so on where a tenant has several rows for one provider. */
  readonly account: string;
  readonly dc: string | null;
  /** The app that would refresh the grant; null if none or several match, with an entry in `problems`. */
  readonly app: string | null;
  readonly state: 'active' | 'reauthorization_required';
  readonly reason: string | null;
  readonly expiresAt: Date | null;
  readonly problems: readonly string[];
}

/** Result of a take-over's dry run. */
export interface TakeOverPlan {
  /** `absent`: no table. `foreign`: all rows remain to be taken over; `unfinished`: some of them; `ours`: none. */
  readonly table: 'absent' | 'foreign' | 'unfinished' | 'ours';
  readonly rows: readonly TakeOverRow[];
  /** Reasons why the table cannot be taken over; each is a sentence about it, without a full stop. */
  readonly refusals: readonly string[];
  /** Triggers, keys and indexes that the take-over would drop. */
  readonly dropped: readonly DroppedPart[];
  /** Names of columns that stay unchanged although they look like secrets. */
  readonly unsealedColumns: readonly string[];
}

/**
 * Lists the rows that a take-over would convert, each with its data centre and app. Changes nothing in the database and
 * creates no key.
 *
 * @param options As for `openVault`.
 * @throws {GrantryError} `invalid_request` for invalid settings or a missing file, `storage_unavailable`
 */
export async function planTakeOver(options: VaultOptions): Promise<TakeOverPlan> {
  const { database, untriedEngine: allowUntriedEngine } = resolveVaultSettings(options);
  const world = options.world ?? systemWorld();
  const logger = options.logger ?? silentLogger;
  const store = await openStore({ database, world, logger, readOnly: true, allowUntriedEngine });
  store.protect(dryRunSeal);
  try {
    const state = await inspectGrantTable(store);
    if (state === 'absent') return emptyPlan('absent');
    return state === 'foreign' ? await planForeign(store, options) : await planUnfinished(store, options);
  } finally {
    await store.close();
  }
}

/** A row whose account is not decided yet, since that depends on all rows. */
type Draft = Omit<TakeOverRow, 'account' | 'dc' | 'app'> & {
  metadata: Record<string, unknown>;
  /** Sort key of the rows of one tenant and provider, newest last. */
  age: string;
  /** A digest of the refresh token, to find rows with the same one. */
  refreshToken: string | null;
};

async function planForeign(store: Store, options: VaultOptions): Promise<TakeOverPlan> {
  const table = await inspectForeignTable(store.db, store.kind);
  const plan = { ...emptyPlan('foreign'), ...tableNotes(table) };
  // Without the required columns no row can be read.
  if (table.refusals.some((refusal) => refusal.startsWith('it '))) return plan;
  const convert = converter(options.world ?? systemWorld());
  const drafts: Draft[] = [];
  await eachForeignPage(store, table, (rows) => {
    for (const foreign of rows) {
      const { row, problems } = convert(foreign);
      drafts.push({
        tenant: row.client_id,
        provider: row.provider,
        state: row.state,
        reason: row.reason,
        expiresAt: row.token_expiry === null ? null : new Date(row.token_expiry),
        problems,
        metadata: metadataOf(row),
        age: `${row.updated_at} ${row.created_at} ${String(row.row).padStart(12, '0')}`,
        refreshToken: digestOf(foreign.refresh_token),
      });
    }
  });
  const definitions = new Map<string, ProviderDefinition | null>();
  for (const { provider } of drafts) {
    if (!definitions.has(provider)) definitions.set(provider, await knownDefinition(provider, options));
  }
  return { ...plan, rows: withHolders(withAccounts(drafts)).map((draft) => planRow(draft, definitions, [])) };
}

/** Plans the rows that a killed run has left; Grantry's schema, perhaps with apps, exists already. */
async function planUnfinished(store: Store, options: VaultOptions): Promise<TakeOverPlan> {
  const { allowLoopback } = resolveVaultSettings(options);
  const world = options.world ?? systemWorld();
  const changes = changeContext(store, world);
  const providers = await ProviderCatalogue.open({
    changes,
    reach: new Reach(changes.world),
    allowLoopback,
    given: options.providers ?? [],
  });
  const apps = await listApps(store.db);
  const definitions = new Map<string, ProviderDefinition | null>();
  const drafts: (Draft & { account: string })[] = [];
  for (let afterId: string | null = null; ; ) {
    const page = await listUnsealed(store.db, { afterId, limit: 500 });
    for (const row of page) {
      if (!definitions.has(row.provider)) definitions.set(row.provider, await providers.get(row.provider));
      const draft = {
        tenant: row.client_id,
        provider: row.provider,
        account: row.account,
        state: row.state === 'active' ? ('active' as const) : ('reauthorization_required' as const),
        reason: row.reason,
        expiresAt: row.token_expiry === null ? null : new Date(row.token_expiry),
        problems: [],
        metadata: metadataOf(row),
        age: '',
        refreshToken: digestOf(row.refresh_token),
      };
      drafts.push(draft);
    }
    afterId = page.at(-1)?.id ?? null;
    if (afterId === null) break;
  }
  const rows = withHolders(drafts).map((draft) => planRow(draft, definitions, apps));
  return { ...emptyPlan(rows.length === 0 ? 'ours' : 'unfinished'), rows };
}

function emptyPlan(table: TakeOverPlan['table']): TakeOverPlan {
  return { table, rows: [], refusals: [], dropped: [], unsealedColumns: [] };
}

function tableNotes(table: ForeignTable) {
  const unsealedColumns = table.extra
    .map((column) => column.name)
    .filter((name) => /secret|password|token|api_?key/i.test(name));
  return { refusals: table.refusals, dropped: table.dropped, unsealedColumns };
}

/** Numbers the rows of each tenant and provider: the newest becomes `default`, as in the take-over itself. */
function withAccounts(drafts: readonly Draft[]): (Draft & { account: string })[] {
  const counts = new Map<string, number>();
  const newestFirst = drafts.toSorted((a, b) => (a.age < b.age ? 1 : -1));
  const numbered = newestFirst.map((draft) => {
    const key = JSON.stringify([draft.tenant, draft.provider]);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count === 1) return { ...draft, account: defaultAccount };
    const problems = [
      ...draft.problems,
      'it is older than another row of the same tenant and provider, so it becomes a separate account',
    ];
    return { ...draft, account: `duplicate-${count}`, problems };
  });
  const keyOf = (row: Draft & { account: string }): string => `${row.tenant}\0${row.provider}\0${row.account}`;
  return numbered.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Names the other rows that hold the same refresh token: they end together. */
function withHolders<Row extends Draft & { account: string }>(rows: readonly Row[]): Row[] {
  const byToken = Map.groupBy(rows, (row) => row.refreshToken);
  return rows.map((row) => {
    const holders = row.refreshToken === null ? [] : (byToken.get(row.refreshToken) ?? []);
    const others = holders.slice(0, limits.grantsNamedMax).filter((other) => other !== row);
    if (others.length === 0) return row;
    const named = others.map(writeKey).join(', ');
    return { ...row, problems: [...row.problems, `its refresh token is also the one of ${named}`] };
  });
}

function digestOf(token: string | null): string | null {
  return token === null || token === '' ? null : createHash('sha256').update(token).digest('base64');
}

function planRow(
  draft: Draft & { account: string },
  definitions: ReadonlyMap<string, ProviderDefinition | null>,
  apps: readonly AppRow[],
): TakeOverRow {
  const { metadata, age: _, refreshToken: _token, ...row } = draft;
  const problems = [...draft.problems];
  const attempt = <T>(find: () => T): T | null => {
    try {
      return find();
    } catch (error) {
      if (!(error instanceof GrantryError)) throw error;
      problems.push(error.message);
      return null;
    }
  };
  const definition = definitions.get(draft.provider) ?? null;
  const own = apps.filter((app) => app.provider === draft.provider);
  const app = attempt(() => onlyApp(own, tenantsOf, draft));
  if (definition === null)
    problems.push('its provider is unknown; add its definition with grantry provider add FILE.json');
  const dc = definition === null ? null : attempt(() => grantDc({ definition, metadata, app }));
  return { ...row, dc, app: app?.name ?? null, problems };
}

async function knownDefinition(id: string, options: VaultOptions): Promise<ProviderDefinition | null> {
  const input = options.providers?.find((each) => each.id === id);
  if (input !== undefined) {
    const { parseProviderDefinition } = await import('../../providers/parse.ts');
    return parseProviderDefinition(input);
  }
  const { builtInProvider } = await import('../../providers/catalogue.ts');
  return builtInProvider(id);
}
