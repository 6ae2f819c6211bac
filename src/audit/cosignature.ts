/**
 * Cosignatures of checkpoints, after C2SP tlog-cosignature as of July 2026: `cosignature/v1` with Ed25519 (type 0x04) and
 * `subtree/v1` with ML-DSA-44 (type 0x06). A signature is the time in 8 bytes, big-endian, and the bytes of the algorithm.
 *
 * The specification recommends ML-DSA-44 for new logs and witnesses. The log signs with it too, in the same form.
 */
import { sign, verify } from 'node:crypto';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { type Available, publicKeyObject, type SignatureType, type SigningKey, type VerifierKey } from './keys.ts';
import type { NoteSigner, NoteVerifier } from './note.ts';

const timeBytes = 8;
const nameBytesMax = 255;

/**
 * Makes a signer of checkpoints at a time, in whole seconds since 1970. With ML-DSA-44 a time of 0 makes no statement that
 * this tree is the newest.
 *
 * @throws {RangeError} for a time that is not a whole number, and while signing a text that is no checkpoint
 */
export function cosigner({ verifierKey, privateKey }: SigningKey, timeSeconds: number): NoteSigner {
  const { name, keyId, type } = verifierKey;
  if (!Number.isSafeInteger(timeSeconds) || timeSeconds < 0) throw new RangeError('a cosignature needs whole seconds');
  if (type === 'ed25519') throw new RangeError('a key of type ed25519 signs without a time');
  return {
    name,
    keyId,
    sign: (text) => {
      const message = cosignedMessage(type, name, timeSeconds, text);
      if (message === undefined) throw new RangeError('a cosignature covers a checkpoint');
      return Buffer.concat([uint64(timeSeconds), sign(null, message, privateKey)]);
    },
  };
}

/** Makes the verifier of a cosigner's signatures. It is `unavailable` where Node.js has no ML-DSA-44. */
export function cosignatureVerifier(key: VerifierKey): Available<NoteVerifier> {
  const { name, keyId, type } = key;
  if (type === 'ed25519') throw new RangeError('a key of type ed25519 signs without a time');
  const made = publicKeyObject(key);
  if (!made.ok) return made;
  const check: NoteVerifier['verify'] = (text, signature) => {
    const time = cosignatureTime(signature);
    const message = time === undefined ? undefined : cosignedMessage(type, name, time, text);
    return message !== undefined && verify(null, message, made.value, signature.subarray(timeBytes));
  };
  return { ok: true, value: { name, keyId, verify: check } };
}

/** Reads the time of a cosignature, in seconds since 1970. Returns `undefined` if it is cut, or later than 2^53. */
export function cosignatureTime(signature: Uint8Array): number | undefined {
  if (signature.length <= timeBytes) return undefined;
  const time = Number(Buffer.from(signature).readBigUInt64BE());
  return Number.isSafeInteger(time) ? time : undefined;
}

/** Builds the bytes that are signed. Returns `undefined` for a text that is no checkpoint. */
function cosignedMessage(type: SignatureType, name: string, time: number, text: string): Buffer | undefined {
  const checkpoint = parseCheckpoint(text);
  if (checkpoint === undefined) return undefined;
  if (type === 'ed25519-cosignature') return Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);
  return subtreeMessage(name, time, checkpoint);
}

/**
 * Builds the structure `cosigned_message` (tlog-cosignature, "ML-DSA-44 signed message"): label, name of the cosigner, time,
 * origin, start 0, size, root. Names carry their length in one byte, so a longer name cannot be signed.
 */
function subtreeMessage(name: string, time: number, { origin, size, root }: Checkpoint): Buffer | undefined {
  const [own, log] = [Buffer.from(name), Buffer.from(origin)];
  if (own.length > nameBytesMax || log.length > nameBytesMax) return undefined;
  const label = Buffer.from('subtree/v1\n\0');
  const names = { own: [Buffer.of(own.length), own], log: [Buffer.of(log.length), log] };
  return Buffer.concat([label, ...names.own, uint64(time), ...names.log, uint64(0), uint64(size), root]);
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
