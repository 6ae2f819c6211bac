import { createHash } from 'node:crypto';

/** Returns random bytes; a simulation passes a seeded source. */
export type RandomSource = (count: number) => Uint8Array;

/** Creates a value in Zoho's form: `1000.` and twice 32 hexadecimal digits. */
export function zohoValue(random: RandomSource, prefix = '1000'): string {
  return `${prefix}.${hex(random, 16)}.${hex(random, 16)}`;
}

/** Creates a value in the usual form, with a short prefix that tells a reader its kind. */
export function plainValue(random: RandomSource, prefix: 'at' | 'rt' | 'ac' | 'sx'): string {
  return `${prefix}-${Buffer.from(random(24)).toString('base64url')}`;
}

export function hex(random: RandomSource, bytes: number): string {
  return Buffer.from(random(bytes)).toString('hex');
}

/**
 * Fingerprints a token for the history: the first 16 hexadecimal digits of its SHA-256. They identify it and cannot be
 * used to spend it.
 */
export function fingerprintOf(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 16);
}

/** Computes the `S256` code challenge of RFC 7636 section 4.2: base64url(SHA-256(verifier)). */
export function s256(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}
