import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import type { Secret } from '../base/secret.ts';

const info = Buffer.from('grantry1/fingerprint');
const keyBytes = 32;
const fingerprintBytes = 16;

/** Identifies a secret without revealing it: 32 hexadecimal characters, equal for equal secrets of one vault. */
export type Fingerprint = (secret: Secret) => string;

/**
 * Creates the vault's fingerprint function from a key.
 *
 * Equal tokens must keep equal fingerprints for the vault's whole life. So the key is always version 1 of the system
 * tenant's key, even after a rotation. The function is keyed because a bare hash of a guessable secret could be
 * searched.
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
