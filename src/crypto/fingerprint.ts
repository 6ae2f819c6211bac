import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import type { Secret } from '../base/secret.ts';

const info = Buffer.from('grantry1/fingerprint');
const keyBytes = 32;
const fingerprintBytes = 16;

/** Names a secret without revealing it: 32 hexadecimal characters, the same for the same secret in one vault. */
export type Fingerprint = (secret: Secret) => string;

/**
 * Makes the vault's fingerprint function from a key.
 *
 * Equal tokens must keep equal fingerprints for the vault's whole life, so the key is always version 1 of the reserved
 * tenant's, whatever is rotated later. Keyed, because a bare hash of a short or guessable secret could be searched.
 */
export function createFingerprint(key: KeyObject): Fingerprint {
  const derived = new Uint8Array(hkdfSync('sha512', key, '', info, keyBytes));
  const macKey = createSecretKey(derived);
  derived.fill(0);
  return (secret) => {
    const mac = createHmac('sha256', macKey).update(secret.reveal(), 'utf8').digest();
    return mac.toString('hex', 0, fingerprintBytes);
  };
}
