import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';

const info = Buffer.from('grantry1/row-mac');
const keyBytes = 32;
const macPattern = /^grm1\.([1-9]\d{0,9})\.([A-Za-z0-9_-]{43})$/;

/** Computes and checks MACs over texts. Text form: `grm1.`, the version of the key, a dot, and the MAC in base64url. */
export interface RowMac {
  mac(parts: readonly string[]): string;
  verify(parts: readonly string[], mac: string): boolean;
}

/**
 * Creates the vault's MAC over rows: HMAC-SHA-256 under a key of its own, derived from the system tenant's key. The root
 * key only wraps the system tenant's key, so replacing the root key changes no MAC.
 */
export function createRowMac(keys: ReadonlyMap<number, KeyObject>, newestVersion: number, vaultId: string): RowMac {
  const macKeys = new Map([...keys].map(([version, key]) => [version, macKeyOf(key)]));
  const compute = (version: number, parts: readonly string[]): Buffer | undefined => {
    const key = macKeys.get(version);
    if (key === undefined) return undefined;
    return createHmac('sha256', key)
      .update(encoded([vaultId, String(version), ...parts]))
      .digest();
  };
  return {
    mac: (parts) => `grm1.${newestVersion}.${compute(newestVersion, parts)?.toString('base64url') ?? ''}`,
    verify: (parts, mac) => {
      const [, version, text = ''] = macPattern.exec(mac) ?? [];
      const expected = version === undefined ? undefined : compute(Number(version), parts);
      if (expected === undefined) return false;
      const given = Buffer.from(text, 'base64url');
      // Only one of the spellings that decode to the same bytes is accepted.
      return given.toString('base64url') === text && timingSafeEqual(given, expected);
    },
  };
}

function macKeyOf(key: KeyObject): KeyObject {
  const derived = new Uint8Array(hkdfSync('sha512', key, '', info, keyBytes));
  const macKey = createSecretKey(derived);
  derived.fill(0);
  return macKey;
}

/** Each text carries its length, so that "ab" + "c" and "a" + "bc" differ. */
function encoded(parts: readonly string[]): Buffer {
  let size = 0;
  for (const part of parts) size += 4 + Buffer.byteLength(part);
  const bytes = Buffer.alloc(size);
  let offset = 0;
  for (const part of parts) {
    const written = bytes.write(part, offset + 4);
    bytes.writeUInt32BE(written, offset);
    offset += 4 + written;
  }
  return bytes;
}
