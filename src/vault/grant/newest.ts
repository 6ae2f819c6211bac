import { GrantryError } from '../../base/errors.ts';
import { authorizingEvents } from '../../storage/statements/events.ts';
import type { GrantRow } from '../../storage/statements/grants.ts';
import { isObject } from '../checks.ts';
import type { VaultContext } from '../context.ts';

/** The moment at which the code of a consent was sent. */
export interface ConsentTime {
  /** By the database's clock. */
  readonly at: number;
  /** The grant at that moment; null if there was none. */
  readonly seen: { readonly id: string; readonly authorizedGeneration: number; readonly ended: boolean } | null;
}

/** The part of a grant that changes with each authorization and disconnect. */
export function seenOf({ id, authorized_generation: authorizedGeneration, state }: GrantRow) {
  return { id, authorizedGeneration, ended: state === 'disconnected' };
}

/**
 * Asserts that no newer consent, tokens or disconnect came to the grant. Consents may be stored out of order: one waits in
 * the spool while the database is away, and a newer one comes by another process.
 *
 * The clock only decides between two consents that were under way at once.
 *
 * @param consented undefined for tokens that a program stores: they count as new
 * @throws {GrantryError} `authorization_failed`
 */
export async function assertNewest(
  context: VaultContext,
  old: GrantRow | undefined,
  consented: ConsentTime | undefined,
): Promise<void> {
  if (consented === undefined || (await isNewest(context, old, consented))) return;
  throw new GrantryError('authorization_failed', 'A newer consent or a disconnect of this grant came meanwhile.', {
    action: 'Look at the grant; connect again if it is disconnected.',
  });
}

async function isNewest(context: VaultContext, old: GrantRow | undefined, { at, seen }: ConsentTime): Promise<boolean> {
  if (old === undefined) return seen === null;
  const now = seenOf(old);
  const isSame = now.id === seen?.id && now.authorizedGeneration === seen.authorizedGeneration;
  if (isSame || now.ended) return isSame && (seen.ended || !now.ended);
  // A program stored tokens meanwhile, or another consent came.
  const events = await authorizingEvents(context.store.db, old);
  if (events.some(({ type }) => type === 'grant.stored')) return false;
  const ordered = orderOf((await context.store.nowMs()) + context.times.marginMs);
  return events.every(({ details }) => {
    const other = consentedAtOf(details);
    return other === undefined || ordered(other, at);
  });
}

/** Orders two times that a clock gave. A time after `latest` is from before the clock was set back. */
function orderOf(latest: number): (first: number, second: number) => boolean {
  return (first, second) => (first > latest === second > latest ? first <= second : first > latest);
}

function consentedAtOf(text: string): number | undefined {
  const details: unknown = JSON.parse(text);
  const named = isObject(details) ? details['consented_at'] : undefined;
  return typeof named === 'number' ? named : undefined;
}
