import { GrantryError } from '../../../base/errors.ts';
import type { CheckedKey } from '../../../base/ids.ts';
import type { PinnedTenant } from '../../../crypto/tenant-keys.ts';
import { findGrant, type GrantRow, lockGrant, metadataOf, renewAccess } from '../../../storage/statements/grants.ts';
import { tenantKeyStands } from '../../../storage/statements/tenant-keys.ts';
import { type ChangeTransaction, changing } from '../../changing.ts';
import type { VaultContext } from '../../context.ts';
import { type AccountComparison, compareAccount } from '../account.ts';
import { noteAsked } from '../asked.ts';
import { resealCandidates } from '../change-facts.ts';
import { factsOf, sameFacts } from '../facts.ts';
import { withoutPinned } from '../new-metadata.ts';
import { assertSameAccount, stateGoingOn } from '../reconnect.ts';
import { standingOf } from '../standing.ts';
import { openToken, sealTokens } from '../tokens.ts';
import { columnsOf, detailsOf } from './columns.ts';
import type { NewAuthorization } from './new-authorization.ts';

/** A new authorization, and the grant that it finds. */
export interface GoingOn {
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
export async function goOn(
  context: VaultContext,
  key: CheckedKey,
  { authorization, old, comparison, tenantKeys }: GoingOn,
  { within }: { readonly within?: ((change: ChangeTransaction) => Promise<void>) | undefined },
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
    await within?.(change);
    const to = 'state' in changes ? changes.state : old.state;
    change.record(
      { ...old, generation },
      { type: authorization.event, to, reason: 'reason' in changes ? changes.reason : old.reason, details },
    );
    return true;
  });
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

/** Compares the account of a consent with the stored one; null without a grant, and for tokens stored by hand. */
export async function comparisonOf(
  context: VaultContext,
  key: CheckedKey,
  { event, account = {}, metadata }: NewAuthorization,
  old: GrantRow | undefined,
): Promise<AccountComparison | null> {
  if (old === undefined || old.state === 'disconnected' || event !== 'grant.connected') return null;
  const definition = await context.providers.require(key.provider);
  // Where the environment decides about the host, the host in an answer tells nothing about the account.
  const told = withoutPinned(definition, { ...metadataOf(old), ...metadata }, metadata);
  return compareAccount(context, definition, old, { account, metadata: told });
}

/** Locks a row, and tells whether its tokens still go where they went when it was read. */
export async function hasFacts(tx: ChangeTransaction['tx'], old: GrantRow): Promise<boolean> {
  const row = await lockGrant(tx, old.client_id, old.id);
  return row !== undefined && sameFacts(factsOf(row), factsOf(old));
}

function noRefreshToken(key: CheckedKey): GrantryError {
  return new GrantryError(
    'authorization_failed',
    `${key.provider} issued no refresh token for ${key.tenant}, so the grant cannot be stored.`,
    { action: "Remove the app from the account's connected apps at the provider, then connect again." },
  );
}
