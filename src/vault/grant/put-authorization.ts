import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, newUuid } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { AccountFacts } from '../../oauth/account.ts';
import type { ProviderDefinition } from '../../providers/definition.ts';
import { deleteCandidates } from '../../storage/statements/candidates.ts';
import {
  findGrant,
  type GrantRow,
  insertGrant,
  lockGrant,
  metadataOf,
  type NewGrant,
  renewAccess,
  replaceAuthorization,
} from '../../storage/statements/grants.ts';
import { tenantKeyStands } from '../../storage/statements/tenant-keys.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, isoNow, type VaultContext } from '../context.ts';
import type { Grant, VaultEventType } from '../types.ts';
import { type AccountComparison, compareAccount, describeAccount } from './account.ts';
import { noteAsked } from './asked.ts';
import { resealCandidates } from './change-facts.ts';
import { dueAt } from './due.ts';
import { factMembers, factsOf, sameFacts } from './facts.ts';
import { describeGrant } from './grants.ts';
import { mergedMetadata } from './new-metadata.ts';
import { assertNewest, type ConsentTime } from './newest.ts';
import { assertSameAccount, queueReplaced, revokeReplaced, stateGoingOn } from './reconnect.ts';
import { keepAlternatives, keepReplaced } from './replaced.ts';
import { consentUser } from './slots/user.ts';
import { tokenOf, warnOfSlots } from './slots/warn.ts';
import { standingOf } from './standing.ts';
import { isGenuine, openToken, sealTokens } from './tokens.ts';

/** Tokens of a new authorization, checked. */
export interface NewAuthorization {
  /** Null if the app is looked up when it is needed. */
  readonly app: string | null;
  /** The hash of the provider's place and the app's client when the tokens were asked for, or handed in. */
  readonly place?: string;
  readonly accessToken: Secret | null;
  /** Null if the provider issued none this time; the stored one stays. */
  readonly refreshToken: Secret | null;
  /** Further refresh tokens of a broken answer, likeliest first. Each is tried after the one before it was refused. */
  readonly candidates?: readonly Secret[];
  readonly tokenType: string | null;
  readonly expiresAtMs: number | null;
  /** When the access token was issued, if that was not now. */
  readonly obtainedAtMs?: number | null;
  readonly scopes: readonly string[];
  /** The scopes that were asked for. Left out for tokens that were stored by hand. */
  readonly asked?: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly event: VaultEventType;
  /** When the code of a consent was sent. An older consent never replaces a newer one. */
  readonly consented?: ConsentTime;
  /** Facts about the account of a consent. Left out for tokens that were stored by hand. */
  readonly account?: AccountFacts;
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}

/** The number of tries of a writer whose row changes meanwhile. */
const triesMax = 5;
export interface PutOptions {
  /** Leaves an existing grant or tombstone under the key unchanged. */
  readonly onlyNew?: boolean;
  /** Runs in the transaction that stores the tokens. If it throws, the transaction is rolled back. */
  readonly within?: (change: ChangeTransaction) => Promise<void>;
  /** True if the row has this authorization already. If it throws, nothing is stored. */
  readonly isStored?: (row: GrantRow | undefined) => Promise<boolean>;
  /** Decides about an existing row: `store` the new tokens, or keep what is stored and return its row. */
  readonly keepStored?: (row: GrantRow) => Promise<GrantRow | 'store' | 'changed'>;
}

/**
 * Makes a grant from a new authorization, or gives its tokens to an existing grant as the next generation.
 *
 * A refresh in flight for the old authorization loses its lease and cannot overwrite the new one.
 *
 * @throws {GrantryError} `storage_unavailable` if the row keeps changing
 */
export async function putAuthorization(
  context: VaultContext,
  key: CheckedKey,
  authorization: NewAuthorization,
  options: PutOptions = {},
): Promise<Grant> {
  await fingerprinter(context);
  for (let tries = 0; tries < triesMax; tries += 1) {
    // Read fresh: another process may have shredded the tenant's keys, and seals under old keys never open.
    const tenantKeys = await context.keys.pin(key.tenant, { fresh: true });
    const old = await findGrant(context.store.db, key);
    if (old !== undefined && options.onlyNew === true) return describeGrant(context, old);
    if ((await options.isStored?.(old)) === true && old !== undefined) return describeGrant(context, old);
    const kept = old === undefined ? 'store' : ((await options.keepStored?.(old)) ?? 'store');
    if (kept === 'changed') continue;
    if (kept !== 'store') return describeGrant(context, kept);
    await assertNewest(context, old, authorization.consented);
    const comparison = await comparisonOf(context, key, authorization, old);
    const { refreshToken } = authorization;
    if (refreshToken === null) {
      if (await goOn(context, key, { authorization, old, comparison, tenantKeys }, options)) {
        const row = await findGrant(context.store.db, key);
        if (row !== undefined) return describeGrant(context, row);
      }
      continue;
    }
    if (!(await replaceTokens(context, key, { authorization, refreshToken, old, comparison, tenantKeys }, options)))
      continue;
    const row = await findGrant(context.store.db, key);
    if (row !== undefined) return describeGrant(context, row);
  }
  throw new GrantryError('storage_unavailable', 'The tokens were not stored: other processes kept changing the grant.');
}

interface Replacing extends GoingOn {
  readonly refreshToken: Secret;
}

/** Stores a new refresh token: in a new grant, or as the next generation of an old one. False if the row changed meanwhile. */
async function replaceTokens(
  context: VaultContext,
  key: CheckedKey,
  { authorization, refreshToken, old, comparison, tenantKeys }: Replacing,
  options: PutOptions,
): Promise<boolean> {
  const id = old?.id ?? newUuid(context.world);
  const { candidates = [], event: type } = authorization;
  // Candidates stand one generation below the token that is tried first, and in the same authorization.
  const authorizedGeneration = (old?.generation ?? 0) + 1;
  const generation = candidates.length === 0 ? authorizedGeneration : authorizedGeneration + 1;
  const fromAnswer = await columnsOf(context, key.provider, authorization, {
    refreshToken,
    old,
    oldMetadata: oldMetadataOf(context, old, tenantKeys),
    comparison,
  });
  const facts = factsOf({ ...key, ...fromAnswer });
  const tokens = { accessToken: authorization.accessToken, refreshToken };
  const sealed = sealTokens(tenantKeys, { id, generation, facts }, tokens);
  const columns = candidates.length === 0 ? fromAnswer : { ...fromAnswer, authorized_generation: authorizedGeneration };
  const definition = await context.providers.require(key.provider);
  const details = await detailsOf(context, authorization, columns.refresh_fingerprint);
  const candidateId = newUuid(context.world);
  let hasQueued = false;
  const assertStanding = await standingOf(context, key, authorization);
  const stored = await context.turns.run(key, () =>
    changing(context, async (change) => {
      const { tx } = change;
      await assertStanding(change);
      if (!(await tenantKeyStands(tx, { tenant: key.tenant, wrapped: tenantKeys.sealingKey }))) return false;
      if (old !== undefined && !(await hasFacts(tx, old))) return false;
      if (!(await writeRow(tx, key, old, { ...columns, ...sealed, id, generation }))) return false;
      await noteAsked(change, { tenant: key.tenant, grantId: id }, authorization);
      await options.within?.(change);
      const news = { ...columns, id: candidateId, generation, authorizedGeneration, facts };
      hasQueued = await endOld(context, change, {
        key,
        id,
        old,
        authorization,
        comparison,
        definition,
        tenantKeys,
        news,
      });
      const place = { client_id: key.tenant, ...key, id, generation: authorizedGeneration };
      change.record({ ...place, state: old?.state ?? null }, { type, to: 'active', reason: null, details });
      return true;
    }),
  );
  if (!stored) return false;
  if (hasQueued) await revokeReplaced(context, { tenant: key.tenant, grantId: id });
  if (authorization.event === 'grant.connected') await warnOfSlots(context, tokenOf(key, columns));
  return true;
}

/** Writes the columns of an authorization. Returns false if the row has changed since it was read. */
function writeRow(
  tx: ChangeTransaction['tx'],
  { tenant: client_id, provider, account }: CheckedKey,
  old: GrantRow | undefined,
  { id, ...columns }: Omit<NewGrant, 'client_id' | 'provider' | 'account'>,
): Promise<boolean> {
  if (old !== undefined) return replaceAuthorization(tx, old, columns);
  return insertGrant(tx, { id, client_id, provider, account, ...columns });
}

interface Replaced {
  readonly key: CheckedKey;
  readonly id: string;
  readonly old: GrantRow | undefined;
  readonly authorization: NewAuthorization;
  readonly comparison: AccountComparison | null;
  readonly definition: ProviderDefinition;
  readonly tenantKeys: PinnedTenant;
  readonly news: Parameters<typeof keepReplaced>[3] & { readonly authorizedGeneration: number };
}

/** Keeps, queues or shreds what a new authorization replaces. Returns true if a token was queued for revocation. */
async function endOld(
  context: VaultContext,
  change: ChangeTransaction,
  { key, id, old, authorization, comparison, definition, tenantKeys, news }: Replaced,
): Promise<boolean> {
  const keepOld = async (): Promise<void> => {
    if (old === undefined) return;
    await resealCandidates(context, change, { row: old, tenantKeys }, { from: factsOf(old), to: news.facts });
    await keepReplaced(change, tenantKeys, old, news);
  };
  if (authorization.event === 'grant.stored') {
    await keepOld();
    return false;
  }
  const grant = { tenant: key.tenant, grantId: id };
  const place = { ...grant, generation: news.authorizedGeneration };
  const { candidates = [] } = authorization;
  const alternatives = { place, tenantKeys, facts: news.facts, candidates };
  // A broken answer proves nothing: none of its tokens may work. The tokens of another account never come back.
  if (authorization.candidates !== undefined && comparison?.relation !== 'other') {
    await keepOld();
    await keepAlternatives(context, change, alternatives);
    return false;
  }
  const newFingerprint = news.refresh_fingerprint;
  const hasQueued =
    old !== undefined && (await queueReplaced(context, change, { old, definition, tenantKeys, newFingerprint }));
  await deleteCandidates(change.tx, grant);
  await keepAlternatives(context, change, alternatives);
  return hasQueued;
}

/** Compares the account of a consent with the stored one; null without a grant, and for tokens stored by hand. */
async function comparisonOf(
  context: VaultContext,
  key: CheckedKey,
  { event, account = {}, metadata }: NewAuthorization,
  old: GrantRow | undefined,
): Promise<AccountComparison | null> {
  if (old === undefined || old.state === 'disconnected' || event !== 'grant.connected') return null;
  return compareAccount(context, await context.providers.require(key.provider), old, { account, metadata });
}

interface GoingOn {
  readonly authorization: NewAuthorization;
  readonly old: GrantRow | undefined;
  readonly comparison: AccountComparison | null;
  readonly tenantKeys: PinnedTenant;
}

/**
 * Stores the access token, scopes and metadata of a consent without a refresh token beside the stored one. Returns false
 * if the row changed meanwhile.
 *
 * @throws {GrantryError} `authorization_failed` if no refresh token of the same app and account is stored
 */
async function goOn(
  context: VaultContext,
  key: CheckedKey,
  { authorization, old, comparison, tenantKeys }: GoingOn,
  options: PutOptions,
): Promise<boolean> {
  // A stored refresh token belongs only to the app that it was issued to.
  const refreshToken = old?.app === authorization.app ? openToken(tenantKeys, old, 'refresh_token') : null;
  if (old === undefined || refreshToken === null) throw noRefreshToken(key);
  if (comparison !== null) assertSameAccount(key, comparison);
  const { generation, changes } = stateGoingOn(old);
  // The account is the same as far as anything tells, so all members stay.
  const same = { relation: 'same', differs: [] } as const;
  const goingOn = { refreshToken, old, oldMetadata: metadataOf(old), comparison: same };
  const columns = await columnsOf(context, key.provider, authorization, goingOn);
  const { app: _, refresh_fingerprint, due_at, ...renewed } = columns;
  const facts = { from: factsOf(old), to: factsOf({ ...old, metadata: renewed.metadata }) };
  const place = { id: old.id, generation, facts: facts.to };
  const sealed = sealTokens(tenantKeys, place, { accessToken: authorization.accessToken, refreshToken });
  const details = await detailsOf(context, authorization, refresh_fingerprint);
  // What is in doubt keeps the time of its next try.
  const due = old.state === 'active' && old.lease_owner === null ? { due_at } : {};
  const assertStanding = await standingOf(context, key, authorization);
  return changing(context, async (change) => {
    await assertStanding(change);
    if (!(await tenantKeyStands(change.tx, { tenant: key.tenant, wrapped: tenantKeys.sealingKey }))) return false;
    if (!(await hasFacts(change.tx, old))) return false;
    if (!(await renewAccess(change.tx, old, { ...renewed, ...sealed, ...changes, ...due, generation }))) return false;
    await resealCandidates(context, change, { row: old, tenantKeys }, facts);
    await noteAsked(change, { tenant: key.tenant, grantId: old.id }, authorization);
    await options.within?.(change);
    const to = 'state' in changes ? changes.state : old.state;
    change.record(
      { ...old, generation },
      { type: authorization.event, to, reason: 'reason' in changes ? changes.reason : old.reason, details },
    );
    return true;
  });
}

/**
 * The metadata that a new authorization inherits. That of a tombstone belongs to a grant that is over. Without a stored
 * token that opens, nothing vouches for the members that decide where the new tokens go.
 */
function oldMetadataOf(
  context: VaultContext,
  old: GrantRow | undefined,
  tenantKeys: PinnedTenant,
): Readonly<Record<string, unknown>> {
  if (old === undefined || old.state === 'disconnected') return {};
  const metadata = metadataOf(old);
  if (isGenuine(tenantKeys, old)) return metadata;
  const unproven: readonly string[] = factMembers.filter((name) => metadata[name] !== undefined);
  if (unproven.length === 0) return metadata;
  const { client_id: tenant, provider } = old;
  context.logger.warn('metadata that no stored token vouches for is dropped', {
    tenant,
    provider,
    members: unproven.join(', '),
  });
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !unproven.includes(name)));
}

/** Locks a row, and tells whether its tokens still go where they went when it was read. */
async function hasFacts(tx: ChangeTransaction['tx'], old: GrantRow): Promise<boolean> {
  const row = await lockGrant(tx, old.client_id, old.id);
  return row !== undefined && sameFacts(factsOf(row), factsOf(old));
}

async function detailsOf(context: VaultContext, authorization: NewAuthorization, fingerprint: string) {
  const { details, account, consented, refreshToken } = authorization;
  const described = account === undefined ? null : await describeAccount(context, account);
  return {
    ...details,
    fingerprint,
    // One that goes on with the stored refresh token replaces none, so it is no newer authorization.
    ...(consented === undefined || refreshToken === null ? {} : { consented_at: consented.at }),
    ...(described === null ? {} : { account: described }),
  };
}

async function columnsOf(
  context: VaultContext,
  provider: string,
  authorization: NewAuthorization,
  {
    refreshToken,
    old,
    oldMetadata,
    comparison,
  }: {
    refreshToken: Secret;
    old: GrantRow | undefined;
    oldMetadata: Readonly<Record<string, unknown>>;
    comparison: AccountComparison | null;
  },
) {
  const fingerprint = (await fingerprinter(context))(refreshToken);
  const { expiresAtMs } = authorization;
  // A new access token for the stored refresh token: the authorization and its candidates go on.
  const goesOn = old?.refresh_fingerprint === fingerprint ? old : undefined;
  const definition = await context.providers.require(provider);
  const metadata = mergedMetadata(definition, oldMetadata, authorization, comparison);
  return {
    token_expiry: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    scopes: authorization.scopes.length === 0 ? (goesOn?.scopes ?? '') : authorization.scopes.join(','),
    metadata: JSON.stringify(metadata),
    app: authorization.app,
    token_type: authorization.tokenType,
    obtained_at: expiresAtMs === null ? null : (authorization.obtainedAtMs ?? context.world.now()),
    refresh_fingerprint: fingerprint,
    ...(goesOn === undefined
      ? { consented_at: authorization.consented?.at ?? context.world.now() }
      : { authorized_generation: goesOn.authorized_generation }),
    consent_user: await consentUser(context, metadata, authorization.account),
    due_at: await dueAt(context, provider, expiresAtMs),
    at: isoNow(context),
  };
}

/**
 * Asserts that a new authorization can be stored: it has a refresh token, or its grant has one to go on with.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export async function assertKeepable(
  context: VaultContext,
  key: CheckedKey,
  authorization: NewAuthorization,
): Promise<void> {
  if (authorization.refreshToken !== null) return;
  const old = await findGrant(context.store.db, key);
  if (old === undefined || old.app !== authorization.app || old.refresh_token === null) throw noRefreshToken(key);
  const comparison = await comparisonOf(context, key, authorization, old);
  if (comparison !== null) assertSameAccount(key, comparison);
}

function noRefreshToken(key: CheckedKey): GrantryError {
  return new GrantryError(
    'authorization_failed',
    `${key.provider} issued no refresh token for ${key.tenant}, so the grant cannot be stored.`,
    { action: "Remove the app from the account's connected apps at the provider, then connect again." },
  );
}
