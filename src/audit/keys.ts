/**
 * Keys of notes. The types are those of C2SP signed-note ("Signature types") and tlog-cosignature ("Format"):
 * Ed25519 over the text (0x01), Ed25519 with a time (0x04), ML-DSA-44 with a time (0x06).
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { sha256 } from './merkle.ts';
import { isKeyName, type KeyId, type NoteSigner, type NoteVerifier } from './note.ts';

/** The types of signatures that this room makes and checks. */
export type SignatureType = 'ed25519' | 'ed25519-cosignature' | 'ml-dsa-44-cosignature';

interface TypeFacts {
  /** The identifier byte of the type. */
  readonly byte: number;
  readonly publicKeyBytes: number;
  /** The DER before the bytes of a public key (SubjectPublicKeyInfo), in hexadecimal. */
  readonly spki: string;
  /** The DER before the 32 bytes of a seed (PKCS #8), in hexadecimal. */
  readonly pkcs8: string;
}

const ed25519 = {
  publicKeyBytes: 32,
  spki: '302a300506032b6570032100',
  pkcs8: '302e020100300506032b657004220420',
};

const facts: Readonly<Record<SignatureType, TypeFacts>> = {
  ed25519: { byte: 0x01, ...ed25519 },
  'ed25519-cosignature': { byte: 0x04, ...ed25519 },
  // RFC 9881 §4 and §6: the object identifier is 2.16.840.1.101.3.4.3.17, and the private key is its seed.
  'ml-dsa-44-cosignature': {
    byte: 0x06,
    publicKeyBytes: 1312,
    spki: '30820532300b06096086480165030403110382052100',
    pkcs8: '3034020100300b060960864801650304031104228020',
  },
};

/** Bytes of a seed, for each type. */
export const seedBytes = 32;

/** A public key with its name and type. Its text form is the `vkey` of signed-note ("Verifier keys"). */
export interface VerifierKey {
  readonly name: string;
  readonly type: SignatureType;
  readonly keyId: KeyId;
  readonly publicKey: Uint8Array;
}

/** A private key with its name and type. The key object does not print its bytes. */
export interface SigningKey {
  readonly verifierKey: VerifierKey;
  readonly privateKey: KeyObject;
}

/** A value, or `unavailable`: the running Node.js has no ML-DSA-44. */
export type Available<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: 'unavailable' };

/**
 * Makes a verifier key. Its id is the start of SHA-256(name ‖ newline ‖ type byte ‖ public key).
 *
 * @throws {RangeError} for a name or a length that the format cannot hold
 */
export function verifierKey(name: string, type: SignatureType, publicKey: Uint8Array): VerifierKey {
  const { byte, publicKeyBytes } = facts[type];
  if (!isKeyName(name)) throw new RangeError('a key name is empty, or has a space, a plus or a control character');
  if (publicKey.length !== publicKeyBytes) throw new RangeError(`a public key of ${type} has ${publicKeyBytes} bytes`);
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(byte), publicKey]));
  return { name, type, keyId: Buffer.from(id).readUInt32BE(), publicKey };
}

/** Writes a verifier key: name, id in 8 hexadecimal digits, and type byte with public key in base64, joined by `+`. */
export function formatVerifierKey({ name, type, keyId, publicKey }: VerifierKey): string {
  const encoded = Buffer.concat([Buffer.of(facts[type].byte), publicKey]).toString('base64');
  return `${name}+${keyId.toString(16).padStart(8, '0')}+${encoded}`;
}

/** Reads a verifier key. Returns `undefined` for any other text, an unknown type, or an id that is not the key's. */
export function parseVerifierKey(text: string): VerifierKey | undefined {
  const [, name = '', , encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  const type = typesOf(bytes[0]);
  if (type === undefined || !isKeyName(name) || bytes.length !== 1 + facts[type].publicKeyBytes) return undefined;
  const key = verifierKey(name, type, Uint8Array.from(bytes.subarray(1)));
  return formatVerifierKey(key) === text ? key : undefined;
}

/**
 * Makes a private key from 32 secret bytes.
 *
 * @throws {RangeError} for a name or a length that the format cannot hold
 */
export function signingKey(name: string, type: SignatureType, seed: Uint8Array): Available<SigningKey> {
  if (seed.length !== seedBytes) throw new RangeError(`a seed has ${seedBytes} bytes`);
  const der = Buffer.concat([Buffer.from(facts[type].pkcs8, 'hex'), seed]);
  const privateKey = ifAvailable(type, () => createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  der.fill(0);
  if (privateKey === undefined) return { ok: false, why: 'unavailable' };
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicKey = Uint8Array.from(spki.subarray(-facts[type].publicKeyBytes));
  return { ok: true, value: { verifierKey: verifierKey(name, type, publicKey), privateKey } };
}

/** Makes the key object that checks signatures. */
export function publicKeyObject({ type, publicKey }: VerifierKey): Available<KeyObject> {
  const der = Buffer.concat([Buffer.from(facts[type].spki, 'hex'), publicKey]);
  const value = ifAvailable(type, () => createPublicKey({ key: der, format: 'der', type: 'spki' }));
  return value === undefined ? { ok: false, why: 'unavailable' } : { ok: true, value };
}

/** Makes the signer of whole texts (signed-note, "Ed25519 signatures"). Its key is of type `ed25519`. */
export function noteSigner({ verifierKey: { name, type, keyId }, privateKey }: SigningKey): NoteSigner {
  if (type !== 'ed25519') throw new RangeError(`a key of type ${type} signs checkpoints only`);
  return { name, keyId, sign: (text) => sign(null, Buffer.from(text), privateKey) };
}

/** Makes the verifier of whole texts. Its key is of type `ed25519`, which each Node.js has. */
export function noteVerifier(key: VerifierKey): NoteVerifier {
  const made = publicKeyObject(key);
  if (key.type !== 'ed25519' || !made.ok) throw new RangeError(`a key of type ${key.type} signs checkpoints only`);
  const { name, keyId } = key;
  return { name, keyId, verify: (text, signature) => verify(null, Buffer.from(text), made.value, signature) };
}

function typesOf(byte: number | undefined): SignatureType | undefined {
  const types = ['ed25519', 'ed25519-cosignature', 'ml-dsa-44-cosignature'] as const;
  return types.find((type) => facts[type].byte === byte);
}

/** Node.js before 24.6 and builds with an older OpenSSL refuse the form of an ML-DSA key, which is well-formed here. */
function ifAvailable(type: SignatureType, make: () => KeyObject): KeyObject | undefined {
  try {
    const key = make();
    // Between 24.5 and 24.6 OpenSSL reads the key and Node.js cannot use it.
    return type !== 'ml-dsa-44-cosignature' || String(key.asymmetricKeyType) === 'ml-dsa-44' ? key : undefined;
  } catch (error) {
    if (type === 'ml-dsa-44-cosignature') return undefined;
    throw error;
  }
}
