import { invalidRequest, isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, checkKey, checkName, checkProviderId, type GrantKey } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import { dcNames, grantDc, isDcNamed } from '../../providers/data-centre.ts';
import { pinsApiHost } from '../../providers/environment.ts';
import { apiBase } from '../../providers/hosts.ts';
import { compareScopes } from '../../providers/scopes.ts';
import { grantStates } from '../../schemas/words.ts';
import type { GrantState } from '../../storage/schema.ts';
import { findApp } from '../../storage/statements/apps.ts';
import { type GrantScopes, readGrantScopes } from '../../storage/statements/grant-scopes.ts';
import { findGrant, type GrantSummary, listGrants, metadataOf, scopesOfRow } from '../../storage/statements/grants.ts';
import { checkObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';
import type { Grant, GrantFilter, GrantPage } from '../types.ts';

const pageItems = 100;

/** Reads one grant, even a tombstone; null if there never was one. */
export async function getGrant(context: VaultContext, key: GrantKey): Promise<Grant | null> {
  const checked = checkKey(key);
  await recheckQuarantine(context);
  const row = await findGrant(context.store.db, checked);
  if (row === undefined) return null;
  const known = (await readGrantScopes(context.store.db, [{ tenant: row.client_id, grantId: row.id }])).get(row.id);
  const calls = (known?.uses ?? []).map(({ call, count, refused, first_at, last_at }) => ({
    call,
    count,
    refused,
    first_at: new Date(first_at).toISOString(),
    last_at: new Date(last_at).toISOString(),
  }));
  return { ...(await describe(context, row, known)), calls };
}

/** Lists grants page by page, in the order of their keys. */
export async function listGrantPage(context: VaultContext, filter: GrantFilter = {}): Promise<GrantPage> {
  checkObject('filter', filter);
  const limit = filter.limit ?? pageItems;
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.pageItemsMax) {
    throw invalidRequest(`The limit must be a whole number from 1 to ${limits.pageItemsMax}.`);
  }
  await recheckQuarantine(context);
  const state = checkState(context, filter.state);
  if (state === 'none') return { items: [], next: null };
  const rows = await listGrants(context.store.db, {
    tenant: filter.tenant === undefined ? undefined : checkName('tenant', filter.tenant),
    tenants: filter.tenants?.map((tenant) => checkName('tenant', tenant)),
    provider: filter.provider === undefined ? undefined : checkProviderId(filter.provider),
    providers: filter.providers?.map(checkProviderId),
    state,
    updatedSince: filter.updatedSince === undefined ? undefined : checkDate(filter.updatedSince),
    after: filter.cursor === undefined ? undefined : readCursor(filter.cursor),
    limit: limit + 1,
  });
  const shown = rows.slice(0, limit);
  const known = await readGrantScopes(
    context.store.db,
    shown.map((row) => ({ tenant: row.client_id, grantId: row.id })),
  );
  const items = await Promise.all(shown.map((row) => describe(context, row, known.get(row.id))));
  const last = rows[limit - 1];
  return { items, next: rows.length > limit && last !== undefined ? writeCursor(last) : null };
}

/** The public view of a grant. */
export async function describeGrant(context: VaultContext, row: GrantSummary): Promise<Grant> {
  const known = await readGrantScopes(context.store.db, [{ tenant: row.client_id, grantId: row.id }]);
  return describe(context, row, known.get(row.id));
}

async function describe(context: VaultContext, row: GrantSummary, known: GrantScopes | undefined): Promise<Grant> {
  const scopes = scopesOfRow(row);
  const metadata = metadataOf(row);
  const quarantined = context.guard.reason !== null && row.state !== 'disconnected';
  return {
    tenant: row.client_id,
    provider: row.provider,
    account: row.account,
    app: row.app,
    state: quarantined ? 'quarantined' : row.state,
    reason: row.reason,
    generation: row.generation,
    scopes,
    scopesMissing: await missingScopes(context, row.provider, { asked: known?.asked ?? [], granted: scopes }),
    scopesAssumed: scopes.filter((scope) => known?.assumed.includes(scope) === true),
    ...(await placeOf(context, row, metadata)),
    metadata,
    expiresAt: row.token_expiry === null ? null : new Date(row.token_expiry),
    lastRefreshedAt: row.last_refreshed_at === null ? null : new Date(row.last_refreshed_at),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** The scopes that were asked for and not granted. */
async function missingScopes(
  context: VaultContext,
  provider: string,
  { asked, granted }: { asked: readonly string[]; granted: readonly string[] },
): Promise<string[]> {
  if (asked.length === 0 || granted.length === 0) return [];
  try {
    const definition = await context.providers.get(provider);
    return definition === null ? [] : compareScopes(definition, asked, granted).missing;
  } catch (error) {
    // A definition that cannot be read must not prevent listing the grant.
    if (isGrantryError(error)) return [];
    throw error;
  }
}

/** The destination of a grant's API calls. */
export interface GrantPlace {
  /** Null if the provider has no data centres, or no longer has the stored one. */
  readonly dc: string | null;
  /** The host of the grant's environment, else the one that the provider named, else the one of its data centre. */
  readonly apiDomain: string | null;
}

/** Returns a grant's data centre and API host. */
export async function placeOf(
  context: VaultContext,
  row: Pick<GrantSummary, 'provider' | 'app'>,
  metadata: Readonly<Record<string, unknown>>,
): Promise<GrantPlace> {
  const named = typeof metadata['api_domain'] === 'string' ? metadata['api_domain'] : null;
  try {
    const definition = await context.providers.get(row.provider);
    if (definition === null || dcNames(definition).length === 0) return { dc: null, apiDomain: named };
    const isNamed = isDcNamed(definition, metadata);
    const app = row.app === null || isNamed ? undefined : await findApp(context.store.db, row.app);
    const dc = grantDc({ definition, metadata, app: app ?? null });
    const isAnswered = named !== null && !pinsApiHost(definition, metadata);
    return { dc, apiDomain: isAnswered ? named : new URL(apiBase(definition, { dc, metadata })).origin };
  } catch {
    // A data centre that the definition no longer has must not prevent listing the grant or handing out its token.
    return { dc: null, apiDomain: named };
  }
}

/** Looks whether another process has ended the quarantine: a caller that only lists would never notice. */
async function recheckQuarantine({ guard }: VaultContext): Promise<void> {
  if (guard.reason !== null && guard.isStale) await guard.recheck();
}

/** `quarantined` is the state of the database, not of a row. */
function checkState(context: VaultContext, state: GrantFilter['state']): GrantState | undefined | 'none' {
  if (state === undefined) return undefined;
  if (!grantStates.includes(state)) throw invalidRequest(`Unknown state. The states are ${grantStates.join(', ')}.`);
  if (state === 'quarantined') return context.guard.reason === null ? 'none' : undefined;
  return context.guard.reason !== null && state !== 'disconnected' ? 'none' : state;
}

function checkDate(date: Date): string {
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) {
    throw invalidRequest('updatedSince must be a valid date.');
  }
  return date.toISOString();
}

function writeCursor(row: GrantSummary): string {
  return Buffer.from(JSON.stringify([row.client_id, row.provider, row.account])).toString('base64url');
}

function readCursor(cursor: string): CheckedKey {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (!Array.isArray(parts) || parts.length !== 3) throw new Error('not a cursor');
    const [tenant, provider, account]: unknown[] = parts;
    return {
      tenant: checkName('tenant', tenant),
      provider: checkProviderId(provider),
      account: checkName('account', account),
    };
  } catch (error) {
    throw invalidRequest('The cursor does not come from a list.', { cause: error });
  }
}
