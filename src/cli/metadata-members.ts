import { usageError } from './terminal/errors.ts';

/** Reads members of a grant's metadata, each as `NAME=VALUE`; `NAME=` removes one. */
export function readMembers(texts: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(texts.map(readMember));
}

function readMember(text: string): [string, string | null] {
  const [, name, value] = /^([^=\s]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw usageError(`"${text.slice(0, 40)}" is not of the form NAME=VALUE.`);
  return [name, value === undefined || value === '' ? null : value];
}
