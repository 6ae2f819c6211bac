import { LRUCache } from 'lru-cache';
import { isGrantryError, isVaultDown } from '../../base/errors.ts';
import { limits } from '../../base/limits.ts';
import { type AuthorizationRow, returnAuthorization } from '../../storage/statements/authorizations.ts';
import { returnConnectSession } from '../../storage/statements/connect-sessions.ts';
import { changing } from '../changing.ts';
import type { VaultContext } from '../context.ts';
import type { Consent } from './consent.ts';

/** Requests that this process took, whose codes it never sent, and that it could not write back, by their states. */
const kept = new WeakMap<VaultContext, LRUCache<string, AuthorizationRow>>();

/** True if a failure is no fault of the callback and its code was never sent: the same callback may succeed later. */
export function isWorthRepeating({ wire }: Consent, error: unknown): boolean {
  return !wire.isSent && isGrantryError(error) && error.code !== 'authorization_failed';
}

/**
 * Makes a request usable again whose code was never sent. If the database is away, this process remembers that the request
 * is its own.
 */
export async function giveBack(context: VaultContext, row: AuthorizationRow, { head }: Consent): Promise<void> {
  const { tenant, state_hash: stateHash } = row;
  const { session } = head;
  try {
    await changing(context, async ({ tx }) => {
      if (!(await returnAuthorization(tx, row)) || session === null) return;
      await returnConnectSession(tx, { tenant, id: session.id, starts: session.starts, error: 'storage_unavailable' });
    });
  } catch (error) {
    if (!isVaultDown(error)) throw error;
    const ofVault = kept.get(context) ?? new LRUCache<string, AuthorizationRow>({ max: limits.unsentCodesMax });
    kept.set(context, ofVault);
    ofVault.set(stateHash, row);
  }
}

type Known = Pick<AuthorizationRow, 'state_hash' | 'used_at'>;

/** True if this process took the request, did not send its code, and could not give it back. */
export function isKeptBack(context: VaultContext, { state_hash: stateHash, used_at: usedAt }: Known): boolean {
  return usedAt !== null && kept.get(context)?.get(stateHash)?.used_at === usedAt;
}

/** Takes such a request again. Of several callers one gets it. */
export function takeBack(context: VaultContext, known: Known): AuthorizationRow | undefined {
  const ofVault = kept.get(context);
  const row = isKeptBack(context, known) ? ofVault?.get(known.state_hash) : undefined;
  ofVault?.delete(known.state_hash);
  return row;
}
