import { isDeepStrictEqual } from 'node:util';
import { GrantryError, invalidRequest } from '../../base/errors.ts';
import type { Secret } from '../../base/secret.ts';
import type { StoreResult } from '../../schemas/words.ts';
import { findCandidate } from '../../storage/statements/candidates.ts';
import { generationNaming, type TokenMember } from '../../storage/statements/events.ts';
import { type GrantRow, lockGrant, metadataOf } from '../../storage/statements/grants.ts';
import { changing } from '../changing.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { reasons } from '../reasons.ts';
import { changeColumns } from './change-facts.ts';
import type { NewAuthorization } from './put/new-authorization.ts';
import { answerSetAside, answerUnreadable, nameOf } from './refusals.ts';
import { isGenuine } from './tokens.ts';

/** The rules by which handed-in tokens meet an existing grant. */
export interface StoringRules {
  /**
   * True: the tokens replace those of another authorization, and a tombstone. False: an existing grant stays as it is.
   * Undefined: tokens that the grant never had replace the stored ones.
   */
  readonly replace?: boolean | undefined;
  /** True for an import: it passes over a tombstone, and metadata that differs stays. */
  readonly isImport?: boolean | undefined;
}

/** The fate of handed-in tokens. */
export interface StoringDecision {
  readonly result: StoreResult;
  /** True if the tokens become the next generation. */
  readonly stores: boolean;
  /** Members in which the grant differs from the input and stays as it is: `app`, `metadata.org_id` … */
  readonly differs: readonly string[];
}

/**
 * Decides what becomes of tokens that were handed in for an existing row. It changes nothing.
 *
 * A token that the grant has had in any generation is the same once more. The stored token is then newer, and at a
 * provider that rotates, the old one would end the grant. A condemned grant does not come back with a token that was
 * refused.
 *
 * @throws {GrantryError} `invalid_request` for a token of a tombstone; `authorization_failed` without any refresh token;
 * `refresh_uncertain` if the stored token was spent and its answer waits in a file
 */
export async function decideStoring(
  context: VaultContext,
  row: GrantRow,
  news: NewAuthorization,
  rules: StoringRules,
): Promise<StoringDecision> {
  const { replace } = rules;
  const condemned = row.state === 'reauthorization_required';
  const isOver = condemned || row.state === 'disconnected';
  if (news.refreshToken === null && (isOver || row.app !== news.app)) throw noRefreshToken(row.client_id, row.provider);
  const held = await heldWhen(context, row, news.refreshToken);
  if (row.state === 'disconnected') return decideOverTombstone(row, held, rules);
  const differs = differences(row, news);
  const stays = (result: StoreResult) => ({
    result: condemned ? ('condemned' as const) : result,
    stores: false,
    differs,
  });
  const isNew = held === 'never' && replace !== false;
  if (isNew || (held === 'earlier' && replace === true)) return { result: 'replaced', stores: true, differs: [] };
  if (held === 'never' || held === 'earlier') return stays('kept');
  if (held === 'now' && replace !== false && (await bringsNews(context, row, news, replace === true)))
    return { result: 'replaced', stores: true, differs: [] };
  const metadataChanges = differs.some((member) => member !== 'app');
  if (condemned || !overwrites(rules)) return stays('unchanged');
  const left = differs.filter((member) => member === 'app');
  return { result: metadataChanges && replace === true ? 'replaced' : 'unchanged', stores: false, differs: left };
}

/** Keeps the stored tokens, and adds metadata, scopes and the app. Undefined if the row has changed meanwhile. */
export async function keepStored(
  context: VaultContext,
  { client_id: tenant, id, generation }: GrantRow,
  news: NewAuthorization,
  rules: StoringRules,
): Promise<GrantRow | undefined> {
  const tenantKeys = await context.keys.pin(tenant, { fresh: true });
  return changing(context, async (change) => {
    const row = await lockGrant(change.tx, tenant, id);
    if (row === undefined || row.generation !== generation || row.state === 'disconnected') return undefined;
    const app = row.app ?? news.app;
    const old = metadataOf(row);
    const merged = overwrites(rules) ? { ...old, ...news.metadata } : { ...news.metadata, ...old };
    const keepsScopes = news.scopes.length === 0 || (!overwrites(rules) && row.scopes !== '');
    const scopes = keepsScopes ? row.scopes : news.scopes.join(',');
    const isSame = isDeepStrictEqual(merged, old) && scopes === row.scopes;
    return changeColumns(context, change, { row, tenantKeys }, isSame ? { app } : { app, metadata: merged, scopes });
  });
}

/** The error for an answer without a refresh token, if none is stored that still works. */
export function noRefreshToken(tenant: string, provider: string): GrantryError {
  const text = `There is no refresh token: ${provider} sent none, and none that works is stored for ${tenant}.`;
  return new GrantryError('authorization_failed', text, {
    action: 'Ask for consent again with access_type=offline and prompt=consent, then store the new tokens.',
  });
}

function decideOverTombstone(row: GrantRow, held: Held, { replace, isImport }: StoringRules): StoringDecision {
  const comesBack = replace === true || (replace === undefined && held === 'never');
  if (comesBack) return { result: 'imported', stores: true, differs: [] };
  if (isImport === true) return { result: 'disconnected', stores: false, differs: [] };
  const name = nameOf(row);
  const text =
    held === 'never' ? `${name} was disconnected.` : `The refresh token belonged to ${name}, which was disconnected.`;
  throw invalidRequest(text.replace(/^t/, 'T'), {
    action: 'Store the tokens with replace: true to connect the grant again.',
  });
}

function overwrites({ replace, isImport }: StoringRules): boolean {
  return replace ?? isImport !== true;
}

/**
 * When the grant had a refresh token: `now`; `before`, since the last authorization; `earlier`, in an authorization that
 * another one replaced; or `never`.
 */
type Held = 'now' | 'before' | 'earlier' | 'never';

async function heldWhen(context: VaultContext, row: GrantRow, token: Secret | null): Promise<Held> {
  if (token === null) return 'now';
  const fingerprint = (await fingerprinter(context))(token);
  if (row.refresh_fingerprint === fingerprint) return 'now';
  const wanted = { tenant: row.client_id, grantId: row.id, fingerprint };
  const candidate = await findCandidate(context.store.db, wanted);
  const generation = candidate?.generation ?? (await namedAt(context, row, 'fingerprint', fingerprint));
  if (generation === undefined) return 'never';
  return generation >= row.authorized_generation ? 'before' : 'earlier';
}

function namedAt(context: VaultContext, row: GrantRow, member: TokenMember, fingerprint: string) {
  return generationNaming(context.store.db, { tenant: row.client_id, grantId: row.id, member, fingerprint });
}

/**
 * True if tokens with the stored refresh token bring something else: another app, an access token that is new, or the cure
 * of a row that was altered. The stored token does not open there, so the same one replaces it.
 */
async function bringsNews(
  context: VaultContext,
  row: GrantRow,
  news: NewAuthorization,
  isForced: boolean,
): Promise<boolean> {
  const isHeld = (row.lease_until ?? 0) > (await context.store.nowMs());
  const inDoubt = row.state === 'uncertain' || row.state === 'suspect' || isHeld;
  const isCure = row.state !== 'reauthorization_required' && news.refreshToken !== null && !(await opens(context, row));
  // Another app may be the cure for a refusal. In doubt, candidates are tried with the app that they were issued to.
  if ((isCure || isAnotherApp(row, news)) && (isForced || !inDoubt)) {
    await assertNoneWaits(context, row);
    return true;
  }
  // While a refresh is under way or in doubt, the stored token is being spent, and this access token is the older one.
  if (news.accessToken === null || inDoubt || row.state !== 'active') return false;
  const fingerprint = (await fingerprinter(context))(news.accessToken);
  return (await namedAt(context, row, 'access_fingerprint', fingerprint)) === undefined;
}

/** False if the stored refresh token does not open: another program has altered the row. */
async function opens(context: VaultContext, row: GrantRow): Promise<boolean> {
  if (row.refresh_token === null || row.generation === 0) return true;
  return isGenuine(await context.keys.pin(row.client_id, { fresh: true }), row);
}

/**
 * Asserts that no file holds the answer to a request that has spent the stored token. Stored as a new generation, the
 * token would be sent again, and at a provider that rotates that could end the grant.
 *
 * @throws {GrantryError} `refresh_uncertain`
 */
async function assertNoneWaits(context: VaultContext, row: GrantRow): Promise<void> {
  const { rotation } = (await context.providers.require(row.provider)).refreshToken;
  if (rotation === 'none' || rotation === 'retire_on_use') return;
  const spool = await context.spool();
  const unreadable = spool.unreadableOf(row.id);
  if (unreadable !== undefined) throw answerUnreadable(row, unreadable);
  // Another host may hold the file; this one sees only the reason in the row.
  const waits = (await spool.list(row.id, ['answer', 'refused'])).some(
    ({ head }) => head.grantId === row.id && head.tokenFingerprint === row.refresh_fingerprint,
  );
  if (waits || row.reason === reasons.answerRefused) throw answerSetAside(row, context.times.suspectConfirmMs);
}

function differences(row: GrantRow, news: NewAuthorization): string[] {
  const stored = metadataOf(row);
  const members = Object.entries(news.metadata)
    .filter(([name, value]) => Object.hasOwn(stored, name) && !isDeepStrictEqual(stored[name], value))
    .map(([name]) => `metadata.${name}`);
  return isAnotherApp(row, news) ? ['app', ...members] : members;
}

function isAnotherApp(row: GrantRow, { app }: NewAuthorization): boolean {
  return row.app !== null && app !== null && row.app !== app;
}
