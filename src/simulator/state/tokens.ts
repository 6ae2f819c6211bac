import { createHash } from 'node:crypto';

/** Gives that many random bytes; a simulation hands in seeded dice. */
export type Dice = (count: number) => Uint8Array;

/** A value in Zoho's form: `1000.` and twice 32 hexadecimal digits. */
export function zohoValue(dice: Dice, prefix = '1000'): string {
  return `${prefix}.${hex(dice, 16)}.${hex(dice, 16)}`;
}

/** A value in the form most servers use, with a short prefix that tells its kind apart for a human reader. */
export function plainValue(dice: Dice, prefix: 'at' | 'rt' | 'ac' | 'sx'): string {
  return `${prefix}-${Buffer.from(dice(24)).toString('base64url')}`;
}

export function hex(dice: Dice, bytes: number): string {
  return Buffer.from(dice(bytes)).toString('hex');
}

/**
 * What the history keeps of a token: the first 16 hexadecimal digits of its SHA-256, enough to follow it and useless to
 * spend it.
 */
export function fingerprintOf(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 16);
}

/** base64url(SHA-256(verifier)): the `S256` code challenge of RFC 7636 section 4.2. */
export function s256(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}
