import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import type { CheckedKey } from '../../base/ids.ts';
import type { AuthorizationCallback } from '../../oauth/callback.ts';
import { compareScopes, hasScope } from '../../providers/scopes.ts';
import { type AuthorizationRow, takeAuthorization } from '../../storage/statements/authorizations.ts';
import { assumedScopes, changeGrantScopes } from '../../storage/statements/grant-scopes.ts';
import { findGrant, type GrantRow, lockGrant, scopesOfRow } from '../../storage/statements/grants.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { type VaultContext } from '../context.ts';
import { describeGrant } from '../grant/grants.ts';
import type { Grant } from '../types.ts';
import { consentRefused, type GrantedScopes, trustCallback } from './authorize.ts';
import { type Enhancement, enhancementIn } from './enhance.ts';
import { failed } from './exchange.ts';

/**
 * Refreshes a grant for a caller that waits; the refresh lies above this room. Without it the next refresh proves what was
 * granted.
 */
export type Prove = (key: CheckedKey, generation: number) => Promise<void>;

/**
 * Finishes a request for more scopes at a terminal or in a program: the browser came back from the provider's page. The
 * callback has no code, so a refresh proves what was granted.
 *
 * @throws {GrantryError} `authorization_failed`
 */
export async function completeEnhancement(
  context: VaultContext,
  known: Omit<AuthorizationRow, 'verifier'>,
  callback: AuthorizationCallback,
  prove?: Prove,
): Promise<Grant> {
  if (known.used_at === null) {
    if (known.expires_at <= (await context.store.nowMs())) throw failed('This authorization request has expired.');
    await trustCallback(context, known, callback);
    const row = await changing(context, ({ tx }) => takeAuthorization(tx, known.state_hash));
    const enhancement = row === undefined ? null : enhancementIn(row);
    if (enhancement !== null) {
      assertConsented(callback);
      return addScopes(context, known, enhancement, prove);
    }
  }
  const grant = await findGrant(context.store.db, keyOf(known));
  const adds = enhancementIn(known)?.scopes ?? [];
  const definition = await context.providers.require(known.provider);
  const awaited = grant === undefined ? [] : await assumedScopes(context.store.db, placeOf(grant));
  const has = grant === undefined ? [] : [...scopesOfRow(grant), ...awaited];
  if (
    grant !== undefined &&
    grant.state !== 'disconnected' &&
    adds.every((scope) => hasScope(definition, has, scope))
  ) {
    return describeGrant(context, grant);
  }
  throw failed('This authorization request was already completed.');
}

/** Asserts that the user agreed. @throws {GrantryError} `authorization_failed` */
export function assertConsented(callback: AuthorizationCallback): void {
  if (callback.error !== null) throw consentRefused(callback.error);
}

/**
 * Writes down the scopes that a grant's refresh token gains, and refreshes the grant: a new access token has them, and the
 * provider's answer may name what was really granted. The browser proves nothing: its user may have opened the callback
 * without consenting. So the grant has the scopes only with the next refresh, as assumed ones if its answer names none.
 *
 * @throws {GrantryError} `authorization_failed` if the grant was connected anew or disconnected meanwhile
 */
export async function addScopes(
  context: VaultContext,
  of: CheckedKey,
  enhancement: Enhancement,
  prove?: Prove,
): Promise<Grant> {
  const key = keyOf(of);
  const { generation, isHeld } = await changing(context, async (change) => {
    const seen = await findGrant(change.tx, key);
    const row = seen === undefined ? undefined : await lockGrant(change.tx, key.tenant, seen.id);
    if (row === undefined || row.state === 'disconnected' || row.refresh_fingerprint !== enhancement.fingerprint) {
      throw failed('The grant was disconnected or connected anew meanwhile, so it gained no scopes.');
    }
    await noteAdded(change, row, enhancement.scopes);
    return { generation: row.generation, isHeld: row.lease_owner !== null };
  });
  try {
    await prove?.(key, generation);
    // The request of a refresh that was under way was sent before the callback, so its answer proves nothing.
    if (isHeld) await prove?.(key, generation + 1);
  } catch (error) {
    if (!isGrantryError(error) || isVaultDown(error)) throw error;
    const { tenant, provider } = key;
    const text = 'scopes were asked for, and the refresh that shows them failed: the next one shows them';
    context.logger.warn(text, { tenant, provider, code: error.code });
  }
  const row = await findGrant(context.store.db, key);
  if (row === undefined) throw failed('The grant was removed meanwhile.');
  return describeGrant(context, row);
}

/** Compares the scopes of a grant with those that a session asked for. */
export async function grantedByEnhancement(
  context: VaultContext,
  of: CheckedKey,
  asked: readonly string[],
): Promise<GrantedScopes> {
  const row = await findGrant(context.store.db, keyOf(of));
  const scopes = row === undefined ? [] : scopesOfRow(row);
  const { missing, extra } = compareScopes(await context.providers.require(of.provider), asked, scopes);
  return { scopes, narrower: missing, wider: extra };
}

/** Keeps the scopes beside the grant until a refresh. */
async function noteAdded({ tx, record }: ChangeTransaction, row: GrantRow, adds: readonly string[]): Promise<void> {
  const before = scopesOfRow(row);
  await changeGrantScopes(tx, placeOf(row), (known) => ({
    ...known,
    asked: [...new Set([...(known.asked.length === 0 ? before : known.asked), ...adds])],
    assumed: [...new Set([...known.assumed, ...adds])],
  }));
  record(row, { type: 'grant.updated', to: row.state, reason: row.reason, details: { scopes_added: adds.join(',') } });
}

function placeOf({ client_id: tenant, id: grantId }: GrantRow) {
  return { tenant, grantId };
}

function keyOf({ tenant, provider, account }: CheckedKey): CheckedKey {
  return { tenant, provider, account };
}
