import { GrantryError } from '../../base/errors.ts';
import { type CheckedKey, newUuid } from '../../base/ids.ts';
import type { Secret } from '../../base/secret.ts';
import { deleteCandidates } from '../../storage/statements/candidates.ts';
import {
  findGrant,
  type GrantRow,
  insertGrant,
  metadataOf,
  replaceAuthorization,
} from '../../storage/statements/grants.ts';
import { tenantKeyStands } from '../../storage/statements/tenant-keys.ts';
import { type ChangeTransaction, changing } from '../changing.ts';
import { fingerprinter, isoNow, type VaultContext } from '../context.ts';
import type { Grant, VaultEventType } from '../types.ts';
import { dueAt } from './due.ts';
import { describeGrant } from './grants.ts';
import { keepReplaced } from './replaced.ts';
import { openToken, sealTokens } from './tokens.ts';

/** Tokens of a new authorization, checked. */
export interface NewAuthorization {
  /** Null if the app is looked up when it is needed. */
  readonly app: string | null;
  readonly accessToken: Secret | null;
  /** Null if the provider issued none this time; the stored one stays. */
  readonly refreshToken: Secret | null;
  readonly tokenType: string | null;
  readonly expiresAtMs: number | null;
  /** When the access token was issued, if that was not now. */
  readonly obtainedAtMs?: number | null;
  readonly scopes: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly event: VaultEventType;
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}

/** The number of tries of a writer whose row changes meanwhile. */
const triesMax = 5;

export interface PutOptions {
  /** Leaves an existing grant or tombstone under the key unchanged. */
  readonly onlyNew?: boolean;
  /** Runs in the transaction that stores the tokens. If it throws, the transaction is rolled back. */
  readonly within?: (change: ChangeTransaction) => Promise<void>;
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
    const kept = old === undefined ? 'store' : ((await options.keepStored?.(old)) ?? 'store');
    if (kept === 'changed') continue;
    if (kept !== 'store') return describeGrant(context, kept);
    // A stored refresh token belongs only to the app that it was issued to.
    const sameApp = old !== undefined && old.app === authorization.app;
    const refreshToken = authorization.refreshToken ?? (sameApp ? openToken(tenantKeys, old, 'refresh_token') : null);
    if (refreshToken === null) throw noRefreshToken(key);
    const id = old?.id ?? newUuid(context.world);
    const generation = (old?.generation ?? 0) + 1;
    const sealed = sealTokens(tenantKeys, { id, generation }, { accessToken: authorization.accessToken, refreshToken });
    const columns = await columnsOf(context, key.provider, authorization, refreshToken, old);
    const candidateId = newUuid(context.world);
    const stored = await changing(context, async (change) => {
      const { tx } = change;
      const standing = { tenant: key.tenant, wrapped: tenantKeys.sealingKey };
      if (!(await tenantKeyStands(tx, standing))) return false;
      const written =
        old === undefined
          ? await insertGrant(tx, {
              id,
              client_id: key.tenant,
              provider: key.provider,
              account: key.account,
              ...columns,
              ...sealed,
              generation,
            })
          : await replaceAuthorization(tx, old, { ...columns, ...sealed, generation });
      if (!written) return false;
      await options.within?.(change);
      if (authorization.event === 'grant.stored')
        await keepReplaced(change, tenantKeys, old, { ...columns, id: candidateId, generation });
      else await deleteCandidates(tx, { tenant: key.tenant, grantId: id });
      const changed = { client_id: key.tenant, ...key, id, generation, state: old?.state ?? null };
      const details = { ...authorization.details, fingerprint: columns.refresh_fingerprint };
      change.record(changed, { type: authorization.event, to: 'active', reason: null, details });
      return true;
    });
    if (!stored) continue;
    const row = await findGrant(context.store.db, key);
    if (row !== undefined) return describeGrant(context, row);
  }
  throw new GrantryError('storage_unavailable', 'The tokens were not stored: other processes kept changing the grant.');
}

async function columnsOf(
  context: VaultContext,
  provider: string,
  authorization: NewAuthorization,
  refreshToken: Secret,
  old: GrantRow | undefined,
) {
  const fingerprint = (await fingerprinter(context))(refreshToken);
  const { expiresAtMs } = authorization;
  // A new access token for the stored refresh token: the authorization and its candidates go on.
  const goesOn = old?.refresh_fingerprint === fingerprint ? old : undefined;
  // The metadata of a tombstone belongs to a grant that is over.
  const oldMetadata = old === undefined || old.state === 'disconnected' ? {} : metadataOf(old);
  return {
    token_expiry: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    scopes: authorization.scopes.length === 0 ? (goesOn?.scopes ?? '') : authorization.scopes.join(','),
    metadata: JSON.stringify({ ...oldMetadata, ...authorization.metadata }),
    app: authorization.app,
    token_type: authorization.tokenType,
    obtained_at: expiresAtMs === null ? null : (authorization.obtainedAtMs ?? context.world.now()),
    refresh_fingerprint: fingerprint,
    ...(goesOn === undefined ? {} : { authorized_generation: goesOn.authorized_generation }),
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
  authorization: Pick<NewAuthorization, 'app' | 'refreshToken'>,
): Promise<void> {
  if (authorization.refreshToken !== null) return;
  const old = await findGrant(context.store.db, key);
  if (old === undefined || old.app !== authorization.app || old.refresh_token === null) throw noRefreshToken(key);
}

function noRefreshToken(key: CheckedKey): GrantryError {
  return new GrantryError(
    'authorization_failed',
    `${key.provider} issued no refresh token for ${key.tenant}, so the grant cannot be stored.`,
    { action: "Remove the app from the account's connected apps at the provider, then connect again." },
  );
}
