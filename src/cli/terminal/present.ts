import type { Grant } from '../../vault/types.ts';

/** The state of a grant, with the reason where it adds something. */
export function stateText(grant: Grant): string {
  return grant.reason === null || grant.reason === grant.state ? grant.state : `${grant.state} (${grant.reason})`;
}

/** A count with its noun, in singular or plural. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A time in UTC to the minute; a dash for none. */
export function minute(time: Date | null): string {
  return time === null ? '-' : `${time.toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

/** The environment that the metadata of a grant names; a dash where it names none. */
export function environmentText({ metadata }: Pick<Grant, 'metadata'>): string {
  const { environment } = metadata;
  return typeof environment === 'string' && environment !== '' ? environment : '-';
}

/** True if a grant is not in production, where most are. */
export function isElsewhere(grant: Pick<Grant, 'metadata'>): boolean {
  return !['-', 'production'].includes(environmentText(grant));
}
