import type { Grant } from '../../vault/types.ts';

/** A grant's state for people, with the reason where that says more. */
export function stateText(grant: Grant): string {
  return grant.reason === null || grant.reason === grant.state ? grant.state : `${grant.state} (${grant.reason})`;
}

/** A number of things, in the right number of the noun. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A time for people: to the minute, UTC; a dash for none. */
export function minute(time: Date | null): string {
  return time === null ? '-' : `${time.toISOString().slice(0, 16).replace('T', ' ')}Z`;
}
