import type { Secret } from '../../../base/secret.ts';
import type { PinnedTenant } from '../../../crypto/tenant-keys.ts';
import { type GrantRow, metadataOf } from '../../../storage/statements/grants.ts';
import { fingerprinter, isoNow, type VaultContext } from '../../context.ts';
import { type AccountComparison, describeAccount } from '../account.ts';
import { dueAt } from '../due.ts';
import { factMembers } from '../facts.ts';
import { mergedMetadata } from '../new-metadata.ts';
import { consentUser } from '../slots/user.ts';
import { isGenuine } from '../tokens.ts';
import type { NewAuthorization } from './new-authorization.ts';

export async function columnsOf(
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
    // The refresh token stays, so an answer that tells less of its user takes nothing back.
    consent_user: (await consentUser(context, metadata, authorization.account)) ?? goesOn?.consent_user ?? null,
    due_at: await dueAt(context, provider, expiresAtMs),
    at: isoNow(context),
  };
}

/**
 * The metadata that a new authorization inherits. That of a tombstone belongs to a grant that is over. Without a stored
 * token that opens, nothing vouches for the members that decide where the new tokens go.
 */
export function oldMetadataOf(
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

export async function detailsOf(context: VaultContext, authorization: NewAuthorization, fingerprint: string) {
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
