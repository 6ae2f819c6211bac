import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { assert } from '../base/errors.ts';

/*
 * A record, formats 1 and 2. Both are frozen; test/vectors/ holds records that any implementation must reproduce.
 *
 *   0      3        4       6             10         42           74            n-16   n
 *   | GRY  | format | suite | key version | salt(32) | commit(32) | ciphertext  | tag  |
 *
 * HKDF-SHA-512 derives an AES-256-GCM key, a nonce and a commitment to the key from the salt and the tenant's key. Each
 * record has its own. The commitment is needed because a GCM ciphertext can be made to open under two keys. The header
 * and the context are authenticated with the record. In format 2 the context also holds the facts that decide where the
 * content goes. The two formats differ in header and derived keys, so a record never opens as the other format.
 */
const magic = Buffer.from('GRY', 'latin1');
const suite = 1;
/** The prefix of every format: the schema asks for it, and a record tells its format itself. */
const textPrefix = 'gry1.';
const cipherName = 'aes-256-gcm';

const at = { format: 3, suite: 4, keyVersion: 6, salt: 10, commitment: 42, ciphertext: 74 } as const;
const tagBytes = 16;
const derived = { keyEnd: 32, commitmentEnd: 64, bytes: 76 } as const;

export const saltBytes = 32;
export const keyVersionMax = 0xffff_ffff;

/** Kind of content. Each purpose derives its own keys, so a record of one purpose never opens as the other. */
export type Purpose = 'record' | 'placedRecord' | 'wrap';

interface Kind {
  readonly format: 1 | 2;
  readonly info: Buffer;
}

const kinds: Record<Purpose, Kind> = {
  record: { format: 1, info: infoOf('grantry1/record') },
  placedRecord: { format: 2, info: infoOf('grantry2/record') },
  wrap: { format: 1, info: infoOf('grantry1/wrap') },
};

export interface SealInput {
  purpose: Purpose;
  key: KeyObject;
  /** A number from 1 to 2^32 − 1; stored in the record, so that its key can be found again. */
  keyVersion: number;
  /** Location of the value. A record only opens with exactly these texts, in this order. */
  context: readonly string[];
  /** Holds 32 random bytes, never used before: they make the record's key a single-use key. */
  salt: Uint8Array;
  plaintext: Uint8Array;
}

export interface OpenInput {
  purpose: Purpose;
  /** Returns the one key to try for the version in the record; undefined refuses the record. */
  findKey: (version: number) => KeyObject | undefined;
  context: readonly string[];
  text: string;
}

/**
 * `wrong_key`: well-formed, but made with another key. An altered salt or commitment looks the same. `damaged`:
 * everything else. Only the unwrapping of tenant keys may report the difference.
 */
export type Opened = { outcome: 'opened'; plaintext: Buffer } | { outcome: 'wrong_key' } | { outcome: 'damaged' };

/** The first characters of every record of format 1: prefix, magic and format. */
const beginningOfFormat1 = 'gry1.R1JZAQ';

/** Tells whether a text claims to be a record of format 1. */
export function isFormat1(text: string): boolean {
  return text.startsWith(beginningOfFormat1);
}

/** Seals bytes into the text form `gry1.` + base64url. The caller owns `plaintext` and overwrites it. */
export function sealRecord(input: SealInput): string {
  const kind = kinds[input.purpose];
  assert(input.salt.length === saltBytes, 'a salt has 32 bytes');
  assert(isKeyVersion(input.keyVersion), 'a key version is an integer from 1 to 2^32 - 1');
  const record = Buffer.alloc(at.ciphertext + input.plaintext.length + tagBytes);
  magic.copy(record);
  record.writeUInt8(kind.format, at.format);
  record.writeUInt16BE(suite, at.suite);
  record.writeUInt32BE(input.keyVersion, at.keyVersion);
  record.set(input.salt, at.salt);
  const keys = deriveKeys(input.key, input.salt, kind);
  try {
    record.set(keys.commitment, at.commitment);
    const cipher = createCipheriv(cipherName, keys.key, keys.nonce, { authTagLength: tagBytes });
    cipher.setAAD(additionalData(record, input.context));
    record.set(cipher.update(input.plaintext), at.ciphertext);
    cipher.final();
    record.set(cipher.getAuthTag(), record.length - tagBytes);
  } finally {
    keys.all.fill(0);
  }
  return textPrefix + record.toString('base64url');
}

/** Opens a sealed text. The caller overwrites the plaintext after use. No content of a record makes it throw. */
export function openRecord(input: OpenInput): Opened {
  const kind = kinds[input.purpose];
  const record = decodeText(input.text);
  if (record === undefined || !hasKnownHeader(kind, record)) return { outcome: 'damaged' };
  // The context of a record may come from its row, which others may have altered.
  if (!input.context.every((part) => part.isWellFormed())) return { outcome: 'damaged' };
  const key = input.findKey(record.readUInt32BE(at.keyVersion));
  if (key === undefined) return { outcome: 'damaged' };
  const keys = deriveKeys(key, record.subarray(at.salt, at.commitment), kind);
  try {
    if (!timingSafeEqual(keys.commitment, record.subarray(at.commitment, at.ciphertext))) {
      return { outcome: 'wrong_key' };
    }
    return decrypt(record, keys, additionalData(record, input.context));
  } finally {
    keys.all.fill(0);
  }
}

/** Tells whether a record's header can carry this number as a key version. */
export function isKeyVersion(version: number): boolean {
  return Number.isInteger(version) && version >= 1 && version <= keyVersionMax;
}

function decrypt(record: Buffer, keys: DerivedKeys, additional: Buffer): Opened {
  const decipher = createDecipheriv(cipherName, keys.key, keys.nonce, { authTagLength: tagBytes });
  decipher.setAAD(additional);
  decipher.setAuthTag(record.subarray(record.length - tagBytes));
  // update() returns unverified plaintext: no code may read it until final() has checked the tag.
  const plaintext = decipher.update(record.subarray(at.ciphertext, record.length - tagBytes));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    return { outcome: 'damaged' };
  }
  return { outcome: 'opened', plaintext };
}

/**
 * Decodes the only accepted spelling of a record. Node decodes base64url leniently, so a text that does not encode back
 * to itself is refused.
 */
function decodeText(text: string): Buffer | undefined {
  if (!text.startsWith(textPrefix)) return undefined;
  const body = text.slice(textPrefix.length);
  const record = Buffer.from(body, 'base64url');
  return record.toString('base64url') === body ? record : undefined;
}

function hasKnownHeader({ format }: Kind, record: Buffer): boolean {
  return (
    record.length >= at.ciphertext + tagBytes &&
    record.subarray(0, at.format).equals(magic) &&
    record.readUInt8(at.format) === format &&
    record.readUInt16BE(at.suite) === suite
  );
}

interface DerivedKeys {
  key: Buffer;
  commitment: Buffer;
  nonce: Buffer;
  /** The memory behind all three; overwritten after use. */
  all: Buffer;
}

function deriveKeys(key: KeyObject, salt: Uint8Array, { info }: Kind): DerivedKeys {
  const all = Buffer.from(hkdfSync('sha512', key, salt, info, derived.bytes));
  return {
    key: all.subarray(0, derived.keyEnd),
    commitment: all.subarray(derived.keyEnd, derived.commitmentEnd),
    nonce: all.subarray(derived.commitmentEnd),
    all,
  };
}

/** Encodes the header and the context. Each text carries its length, so that "ab" + "c" and "a" + "bc" differ. */
function additionalData(record: Buffer, context: readonly string[]): Buffer {
  let size: number = at.ciphertext;
  for (const part of context) size += 4 + Buffer.byteLength(part);
  const data = Buffer.alloc(size);
  record.copy(data, 0, 0, at.ciphertext);
  let offset: number = at.ciphertext;
  for (const part of context) {
    // UTF-8 turns every lone surrogate into the same replacement character, so two contexts would share one form.
    assert(part.isWellFormed(), 'a context is well-formed Unicode');
    const written = data.write(part, offset + 4);
    data.writeUInt32BE(written, offset);
    offset += 4 + written;
  }
  return data;
}

function infoOf(label: string): Buffer {
  const bytes = Buffer.alloc(label.length + 2);
  bytes.write(label, 'latin1');
  bytes.writeUInt16BE(suite, label.length);
  return bytes;
}
