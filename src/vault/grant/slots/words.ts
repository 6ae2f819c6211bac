import type { CheckedKey } from '../../../base/ids.ts';
import type { Slots } from '../../../schemas/slots.ts';

/** The line of the log about such a user, which a command says in its own words. */
export const slotsMessage = 'a user of a provider nears the number of refresh tokens that it keeps';

/** The advice for an operator about a user whose places run out. */
export const slotsAdvice =
  'Disconnect grants that are not needed, or let another user or another client registration give the next consent.';

/**
 * Says in words how full the places of a user are, and which grant ends first.
 *
 * @param connecting the grant that is about to be connected: a consent for it replaces its own token
 */
export function slotsText(slots: Slots, connecting?: CheckedKey): string {
  const { app, provider, user, tokens, upTo, max } = slots;
  const who = user === null ? 'One user may have given' : `The user ${user} has`;
  const many = user === null || upTo <= tokens ? `${upTo}` : `${tokens} to ${upTo}`;
  const full = `${provider} keeps ${max} refresh tokens per user and client. ${who} ${many} with the app ${app}.`;
  return `${full} ${nextText(slots, connecting)}`;
}

/** Drops what several apps of one client registration tell of the same user: they share its places. */
export function withoutRepeats(all: readonly Slots[]): readonly Slots[] {
  const told = new Map<string, Slots>();
  for (const each of all) {
    const { app, user, dc, tokens, upTo, max, next } = each;
    const name = JSON.stringify([user, dc, tokens, upTo, max, next ?? app]);
    if (!told.has(name)) told.set(name, each);
  }
  return [...told.values()];
}

function nextText({ next, upTo, max }: Slots, connecting: CheckedKey | undefined): string {
  const at = upTo >= max ? 'The next consent' : `A consent beyond ${max}`;
  if (next === null) return `${at} ends a token that no grant uses.`;
  const isOwn =
    connecting !== undefined &&
    next.tenant === connecting.tenant &&
    next.provider === connecting.provider &&
    next.account === connecting.account;
  if (isOwn) return `${at} ends the token that this one replaces.`;
  return `${at} of this user ends the grant of ${next.tenant} at ${next.provider} (account ${next.account}).`;
}
