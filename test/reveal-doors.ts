/**
 * Every file of the product from which plaintext can leave a `Secret`, each with its reason. A call of `reveal()` in any
 * other file fails the house rules; so does a file listed here that no longer calls it.
 */
export const revealDoors: Readonly<Record<string, string>> = {
  'src/crypto/fingerprint.ts': 'names a secret by a keyed hash',
  'src/crypto/pinned-tenant.ts': 'seals a secret',
};
