import { isGrantryError, isVaultDown } from '../../../base/errors.ts';
import { placeNamedIn } from '../../../providers/data-centre.ts';
import type { ProviderDefinition } from '../../../providers/definition.ts';
import { findApp } from '../../../storage/statements/apps.ts';
import { type GrantRow, metadataOf } from '../../../storage/statements/grants.ts';
import type { RevocationRow } from '../../../storage/statements/revocations.ts';
import {
  deleteLeftToken,
  insertLeftToken,
  leaveReplacedTokens,
} from '../../../storage/statements/slots/left-tokens.ts';
import type { ChangeTransaction } from '../../changing.ts';
import type { VaultContext } from '../../context.ts';

/** True for a provider that keeps a limited number of refresh tokens per user: there, each living one is counted. */
export function keepsFew(definition: ProviderDefinition | null): boolean {
  return definition !== null && definition.refreshToken.livePerUserAndClient !== null;
}

/** {@link keepsFew} by a provider's id. The count is advice: a definition that cannot be read holds up no end of a token. */
export async function isCounted(context: VaultContext, provider: string): Promise<boolean> {
  try {
    return keepsFew(await context.providers.get(provider));
  } catch (error) {
    if (!isGrantryError(error) || isVaultDown(error)) throw error;
    return false;
  }
}

/** Counts on the tokens of a grant that ends without being revoked. The provider goes on keeping them. */
export async function leaveGrant({ tx }: ChangeTransaction, row: GrantRow): Promise<void> {
  const app = row.app === null ? undefined : await findApp(tx, row.app);
  // What the provider has refused takes no place.
  if (app === undefined || row.state === 'reauthorization_required') return;
  const { client_id: tenant, provider, account, consented_at, consent_user, refresh_fingerprint: fingerprint } = row;
  const place = { registration: app.client_id, dc: placeNamedIn(metadataOf(row)) };
  const left = { ...place, tenant, provider, account, consented_at, consent_user };
  if (fingerprint !== null) await insertLeftToken(tx, { ...left, fingerprint });
  await leaveReplacedTokens(tx, { ...row, ...place }, row.generation);
}

/** Counts on tokens that were replaced by hand, which are shredded once the new ones are proven. */
export async function leaveReplaced({ tx }: ChangeTransaction, row: GrantRow, below: number): Promise<void> {
  const app = row.app === null ? undefined : await findApp(tx, row.app);
  if (app === undefined) return;
  const place = { registration: app.client_id, dc: placeNamedIn(metadataOf(row)) };
  await leaveReplacedTokens(tx, { ...row, ...place }, below);
}

/** Counts on a token whose revocation is given up, and forgets one that was revoked. */
export async function endRevocation(
  { tx }: ChangeTransaction,
  entry: RevocationRow,
  isRevoked: boolean,
): Promise<void> {
  const app = entry.app === null ? undefined : await findApp(tx, entry.app);
  if (app === undefined) return;
  const { tenant, provider, account, dc, consent_user, consented_at, token_fingerprint: fingerprint } = entry;
  const token = { registration: app.client_id, fingerprint };
  if (isRevoked) await deleteLeftToken(tx, token);
  else await insertLeftToken(tx, { ...token, tenant, provider, account, dc, consent_user, consented_at });
}
