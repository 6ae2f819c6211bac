import { createHash } from 'node:crypto';
import { isGrantryError } from '../../base/errors.ts';
import { type CheckedKey, newUuid } from '../../base/ids.ts';
import { limits } from '../../base/limits.ts';
import type { Secret } from '../../base/secret.ts';
import { systemCodeOf } from '../../base/system-error.ts';
import type { PinnedTenant } from '../../crypto/tenant-keys.ts';
import type { RawAnswer } from '../../oauth/types.ts';
import { isNamedInEvent } from '../../storage/statements/events.ts';
import { findGrant, type GrantRow } from '../../storage/statements/grants.ts';
import { fingerprinter, type VaultContext } from '../context.ts';
import { seenOf } from '../grant/newest.ts';
import { isMoved } from '../grant/standing.ts';
import { isUnchecked } from '../organization/expect.ts';
import { type ConsentHead, type ConsentSlot, Consents } from '../spool/consents.ts';
import type { Owner } from '../spool/owner.ts';
import { UnreadAnswerError } from './exchange.ts';

/** The consent that a code is exchanged for, and the file that keeps its answer. */
export interface Consent {
  readonly slot: ConsentSlot;
  /** Everything but the grant as it is when the code is sent. */
  readonly head: Pick<ConsentHead, 'id' | 'stateHash' | 'session'>;
  /** Set with the first byte of the exchange: until then, the code still works. */
  readonly wire: { isSent: boolean };
}

const ofVault = new WeakMap<Owner, Consents>();

/** The files of consents of an open vault. */
export function consentsOf(context: VaultContext): Consents {
  const known =
    ofVault.get(context.owner) ??
    new Consents(context.spoolDirectory, (file, error) =>
      context.logger.warn('the file of a consent stays: it cannot be read, moved or removed', {
        file,
        code: systemCodeOf(error),
      }),
    );
  ofVault.set(context.owner, known);
  return known;
}

/**
 * Reserves the file of a consent, before its code may be sent.
 *
 * @throws {GrantryError} `storage_unavailable`
 */
export async function reserveConsent(context: VaultContext, head: Consent['head']): Promise<Consent> {
  return { slot: await consentsOf(context).reserve(head.id, newUuid(context.world)), head, wire: { isSent: false } };
}

/** Names the consent of a callback, or of a code without one. The same words with another code name another consent. */
export async function consentIdOf(
  context: VaultContext,
  words: readonly string[],
  code: Secret | null,
): Promise<string> {
  const fingerprint = code === null ? null : (await fingerprinter(context))(code);
  return createHash('sha256')
    .update(JSON.stringify([...words, fingerprint]))
    .digest('hex');
}

/** Completes the head of a consent with the grant that its tokens will replace. */
export async function headOf(
  context: VaultContext,
  consent: Consent['head'],
  facts: CheckedKey & Pick<ConsentHead, 'app' | 'dc' | 'asked' | 'captured' | 'place' | 'expectOrganization'>,
): Promise<ConsentHead> {
  const { tenant, provider, account } = facts;
  const { id, host, pid } = context.owner;
  // First the time: what `seen` does not have came later.
  const at = await context.store.nowMs();
  const row = await findGrant(context.store.db, { tenant, provider, account });
  const seen = row === undefined ? null : seenOf(row);
  return { version: 1, ...consent, ...facts, seen, owner: { id, host, pid }, at };
}

/** Keeps an answer to a code. A failed write must not lose the answer, which the caller still has. */
export async function keepAnswer(
  context: VaultContext,
  { slot }: Consent,
  head: ConsentHead,
  answer: { tenantKeys: PinnedTenant; raw: RawAnswer },
): Promise<void> {
  try {
    await slot.keep(head, answer.tenantKeys, answer.raw);
  } catch {
    const { tenant, provider } = head;
    context.logger.error('an answer to a code could not be spooled', { tenant, provider });
  }
}

/** Ends the file of an exchange that failed. An answer that may hold tokens stays. */
export async function endFailedExchange({ slot }: Consent, error: unknown): Promise<void> {
  const cause = error instanceof Error ? error.cause : undefined;
  await (cause instanceof UnreadAnswerError ? slot.setAside() : slot.remove());
}

/**
 * Stores the tokens of a consent, and waits out a short database outage. If storing fails for good, the file stays: the
 * next start, round of the workers or repeated callback finishes it.
 *
 * @param discard revokes tokens that are known to be unwanted
 */
export async function storeConsent<T>(
  context: VaultContext,
  { slot, head }: Consent,
  store: () => Promise<T>,
  discard: () => Promise<void>,
): Promise<T> {
  try {
    const stored = await whileAway(context, store);
    await slot.remove();
    return stored;
  } catch (error) {
    if (isMoved(error) || isUnchecked(error)) {
      // Nowhere is safe to revoke them, or they may be wanted. Sealed and set aside they are never sent.
      await slot.setAside();
    } else if (isGrantryError(error, 'authorization_failed')) {
      await discard();
      await slot.remove();
    } else
      context.logger.error('a consent could not be stored yet; its answer stays in the spool', { consent: head.id });
    throw error;
  }
}

async function whileAway<T>(context: VaultContext, store: () => Promise<T>): Promise<T> {
  const { world } = context;
  const until = world.monotonic() + limits.connectKeepMs;
  for (;;) {
    try {
      return await store();
    } catch (error) {
      const isOver = world.monotonic() >= until || context.closing();
      if (!isGrantryError(error, 'storage_unavailable') || isOver) throw error;
      await world.sleep(limits.connectKeepPauseMs);
    }
  }
}

/** True if an event of a grant names the consent: its tokens were stored, and may have been replaced since. */
export async function isConsentStored(context: VaultContext, row: GrantRow | undefined, id: string): Promise<boolean> {
  if (row === undefined) return false;
  const { client_id: tenant, id: grantId } = row;
  return isNamedInEvent(context.store.db, { tenant, grantId, member: 'consent', value: id });
}
